"""The setup: what it refuses, what it skips, what it says while it works."""

from __future__ import annotations

import ast
import importlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = {
    "install": [
        {"metadata": {"name": "torch", "version": "2.13.0"}},
        {"metadata": {"name": "NVIDIA-cudnn-cu13", "version": "9"}},
    ]
}


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The script as a module, with an environment of its own that holds nothing."""
    monkeypatch.syspath_prepend(str(ROOT / "deploy"))
    module = importlib.import_module("setup")
    venv = tmp_path / "venv"
    (venv / "setup").mkdir(parents=True)
    (venv / "bin").mkdir()
    (venv / "bin" / "python").symlink_to(sys.executable)
    (venv / "pyvenv.cfg").touch()
    monkeypatch.setattr(module, "VENV", venv)
    monkeypatch.setattr(module, "PYTHON", venv / "bin" / "python")
    monkeypatch.setattr(module, "LOGS", venv / "setup")
    monkeypatch.setattr(module, "STAMP", venv / "setup" / "stamp.json")
    yield module
    for name in ("setup", "setup_steps"):
        sys.modules.pop(name, None)


@pytest.fixture
def steps(setup: ModuleType) -> ModuleType:
    return sys.modules["setup_steps"]


def test_a_dry_run_that_lists_cuda_is_noticed(setup: ModuleType) -> None:
    assert setup.cuda_in(setup.names_in(REPORT))
    assert not setup.cuda_in(["torch", "numpy"])


def _fake_install(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]], *, index_reached: bool
) -> None:
    def pip(*arguments: str, name: str = "") -> str:
        asked.append(arguments)
        if setup.CPU_INDEX in arguments and not index_reached:
            raise setup.Problem("pip install failed")
        return json.dumps(REPORT)

    monkeypatch.setattr(setup, "pip", pip)
    monkeypatch.setattr(setup, "wheel_to_install", lambda requirement: None)
    monkeypatch.setattr(setup, "side_by_side", lambda lanes: None)


def test_without_a_gpu_cuda_is_never_installed(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the CPU build cannot be reached the setup stops with a sentence, before any installation."""
    asked: list[tuple[str, ...]] = []
    _fake_install(setup, monkeypatch, asked, index_reached=False)
    monkeypatch.setattr(setup, "has_gpu", lambda: False)
    with pytest.raises(setup.Problem, match=r"no NVIDIA GPU.*PIP_FIND_LINKS"):
        setup.install(["embedded"], [])
    assert [
        arguments for arguments in asked if "torch" in str(arguments) and "--dry-run" not in arguments
    ] == [asked[-1]]
    assert not setup.STAMP.exists()


def test_without_a_gpu_torch_alone_comes_from_the_index_for_processors(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    _fake_install(setup, monkeypatch, asked, index_reached=True)
    monkeypatch.setattr(setup, "has_gpu", lambda: False)
    setup.install(["embedded"], [])
    (from_there,) = [arguments for arguments in asked if setup.CPU_INDEX in arguments]
    assert "--no-deps" in from_there
    assert from_there[-1].startswith("torch==")
    assert setup.STAMP.exists()


def test_with_a_gpu_cuda_may_be_installed(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    _fake_install(setup, monkeypatch, asked, index_reached=False)
    monkeypatch.setattr(setup, "has_gpu", lambda: True)
    setup.install(["embedded"], [])
    assert not any(setup.CPU_INDEX in arguments for arguments in asked)


def test_what_is_installed_is_not_looked_at_again(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(setup, "pip", lambda *arguments, name="": pytest.fail("pip was called"))
    monkeypatch.setattr(setup.subprocess, "run", lambda command, **more: commands.append(command))
    key = setup.stamp_key()
    setup.STAMP.write_text(json.dumps({"embedded": key, "test": key}))
    began = time.monotonic()
    setup.install(["embedded", "test"], ["some-model"])
    assert time.monotonic() - began < 1
    assert [command[2:] for command in commands] == [["models", "get", "some-model"]]


def test_a_changed_pin_is_installed(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = setup.stamp_key()
    other = tmp_path / "constraints.txt"
    other.write_text(setup.CONSTRAINTS.read_text() + "something==1\n")
    monkeypatch.setattr(setup, "CONSTRAINTS", other)
    assert setup.stamp_key() != before


def test_what_was_compiled_in_another_way_is_compiled_again(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same version, so the version alone does not tell."""
    monkeypatch.setattr(setup, "is_installed", lambda requirement: True)
    wheel = setup.wheel_place("llama-cpp-python==1")
    setup.STAMP.write_text(json.dumps({setup.COMPILED: wheel.name}))
    assert setup.wheel_to_install("llama-cpp-python==1") is None
    monkeypatch.setenv("CMAKE_ARGS", "-DGGML_CUDA=ON")
    other = setup.wheel_to_install("llama-cpp-python==1")
    assert other and other != wheel


def test_no_store_is_left_out_that_only_assembler_reads(setup: ModuleType) -> None:
    """Else GCC 12 drops what configures AMX, and the engine dies of it where the processor has AMX."""
    assert "-DCMAKE_CXX_FLAGS=-fno-dse -fno-tree-dse" in shlex.split(setup.cmake_args())


def test_a_missing_compiler_is_said(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(setup.Problem, match=r"no C\+\+ compiler.*apt-get install g\+\+"):
        setup.check_compiler()


def test_an_old_python_is_said(setup: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.sys, "version_info", (3, 9, 2))
    with pytest.raises(setup.Problem, match=r"needs Python 3\.11"):
        setup.check_python()


def test_an_old_python_can_read_the_script_far_enough() -> None:
    for name in ("setup.py", "setup_steps.py"):
        tree = ast.parse((ROOT / "deploy" / name).read_text(), feature_version=(3, 8))
        imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
        assert "tomllib" not in imported


def test_elsewhere_than_on_debian_the_packages_are_listed(
    setup: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "debian_has", lambda name: False)
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    with pytest.raises(setup.Problem, match="chromium"):
        setup.install_debian_packages()


def test_every_requirement_is_pinned_and_every_pin_has_a_constraint(setup: ModuleType) -> None:
    constraints = setup.CONSTRAINTS.read_text()
    pinned = dict(line.split("==") for line in constraints.splitlines() if "==" in line)
    for line in setup.requirements(["embedded", "site", "test", "load"]):
        name, version = line.split("==")
        plain = name.split("[")[0].lower().replace("_", "-")
        assert pinned.get(plain) == version, line
    assert not any(name.startswith("nvidia-") for name in pinned)
    assert "file:" not in constraints


def test_a_step_tells_how_far_it_is_from_its_log(steps: ModuleType) -> None:
    assert steps.ninja_in("[1/200] a\nnoise [3/4] inside\n[50/200] b\n") == 0.25
    assert steps.ninja_in("[ 12%] Building\n") == 0.12
    assert steps.ninja_in("nothing yet") is None
    assert steps.percent_in("a: 1 of 10 MB, 10 %\na: 4 of 10 MB, 42 %, about 3 s left\n") == 0.42


def _step(steps: ModuleType, tmp_path: Path, name: str, script: str) -> Any:
    def work(step: Any) -> None:
        step.run([sys.executable, "-c", script])

    return steps.Step(name, work, steps.percent_in, tmp_path)


def test_steps_run_side_by_side(steps: ModuleType, tmp_path: Path) -> None:
    lanes = [[_step(steps, tmp_path, name, "import time; time.sleep(1)")] for name in ("one", "two", "three")]
    began = time.monotonic()
    steps.side_by_side(lanes)
    assert time.monotonic() - began < 2.5


def test_a_step_that_fails_shows_its_log_and_ends_the_others(steps: ModuleType, tmp_path: Path) -> None:
    fails = _step(steps, tmp_path, "fails", "print('the disk is on fire'); raise SystemExit(4)")
    waits = _step(steps, tmp_path, "waits", "import time; time.sleep(60)")
    began = time.monotonic()
    with pytest.raises(steps.Problem, match=r"fails failed(.|\n)*the disk is on fire"):
        steps.side_by_side([[fails], [waits]])
    assert time.monotonic() - began < 10


def test_time_left_is_guessed_from_what_is_done(steps: ModuleType, tmp_path: Path) -> None:
    step = _step(steps, tmp_path, "half", "")
    assert step.status() == "half waits"
    step.began = time.monotonic() - 60
    step.log.write_text("5 of 10 MB, 50 %\n")
    assert step.status().startswith("half 50%, about 1:0")


def test_make_alone_lists_the_targets() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "make up" in listed
    assert "make test" in listed


@pytest.fixture
def unpacker(setup: ModuleType) -> Callable[[Path, Path], None]:
    return setup.unpack  # type: ignore[no-any-return]  # a module loaded by name has no types


def test_source_appears_whole_or_not_at_all(unpacker: Callable[[Path, Path], None], tmp_path: Path) -> None:
    inside = tmp_path / "thing-1.0"
    inside.mkdir()
    (inside / "CMakeLists.txt").write_text("x")
    subprocess.run(["tar", "czf", "thing.tar.gz", "thing-1.0"], cwd=tmp_path, check=True)
    (tmp_path / "source.part").mkdir()
    unpacker(tmp_path / "thing.tar.gz", tmp_path / "source")
    assert [path.name for path in (tmp_path / "source").iterdir()] == ["CMakeLists.txt"]
    assert not (tmp_path / "source.part").exists()
