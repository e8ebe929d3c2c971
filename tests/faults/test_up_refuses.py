"""What keeps an installation from starting is one sentence that says what to do, and nothing stays behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from tests.running import SMALL_MODEL, RunningHouse
from workers.engines import catalogue
from workers.guard import check_folder

HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(1)
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[RunningHouse]:
    """Not started; nothing of it may run when the test is over."""
    house = RunningHouse(tmp_path)
    yield house
    assert not [process.cmdline() for process in psutil.process_iter() if belongs_to(process, house)]
    assert not list(house.run.glob("*.sock"))


def belongs_to(process: psutil.Process, house: RunningHouse) -> bool:
    try:
        return process.environ().get("MUNIMENT_DATA") == str(house.data)
    except psutil.Error:
        return False


def refusal(house: RunningHouse) -> str:
    """What `manage.py up` says before it ends with exit code 1."""
    done = house.manage("up", check=False, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def models(house: RunningHouse, tmp_path: Path) -> Path:
    """The small models, where a test may spoil them; the one for questions is a copy."""
    folder = tmp_path / "models"
    folder.mkdir()
    embedder = catalogue.model(settings.EMBEDDER)
    (folder / embedder.name).symlink_to(embedder.place)
    language = catalogue.model(SMALL_MODEL).place
    shutil.copyfile(language, folder / language.name)
    house.environment["MUNIMENT_MODELS"] = str(folder)
    return folder / language.name


def test_a_missing_model(house: RunningHouse, models: Path) -> None:
    models.unlink()
    assert f"is not there: `manage.py models get {SMALL_MODEL}` fetches it" in refusal(house)


def test_a_truncated_model(house: RunningHouse, models: Path) -> None:
    os.truncate(models, models.stat().st_size - 1)
    said = refusal(house)
    assert "is not complete" in said and f"`manage.py models get {SMALL_MODEL}` fetches it again" in said


def test_a_model_with_other_bytes(house: RunningHouse, models: Path) -> None:
    with models.open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)
        file.seek(1_000_000)
        file.write(bytes([byte[0] ^ 1]))
    said = refusal(house)
    assert "holds other bytes than its publisher's" in said and "fetches it again" in said


def test_an_index_folder_that_another_process_has_open(house: RunningHouse) -> None:
    index = house.data / "index"
    index.mkdir(parents=True)
    with (index / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "The index folder is in use by another process. Stop that one" in refusal(house)


def test_an_index_folder_that_a_killed_installation_leaves_is_waited_for(house: RunningHouse) -> None:
    index = house.data / "index"
    index.mkdir(parents=True)
    lock = index / "lock"
    lock.touch()
    holder = subprocess.Popen([sys.executable, "-S", "-c", HOLDER, str(lock)], stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout and holder.stdout.readline() == b"held\n"
        check_folder(index, seconds=10)
        assert holder.wait(timeout=5) == 0


def test_a_port_in_use(house: RunningHouse) -> None:
    with socket.create_server(("127.0.0.1", house.port)):
        assert f"Port {house.port} is in use by another program" in refusal(house)


def test_a_second_installation_on_the_same_data_folder(house: RunningHouse) -> None:
    house.data.mkdir(parents=True)
    with (house.data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        said = refusal(house)
    assert "Muniment already runs for this data folder (process 4711). Stop it first" in said
