from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.upkeep.installation import Installation

DOCUMENTS = 4


@pytest.fixture
def new_installation(tmp_path: Path) -> Callable[[str], Installation]:
    def make(name: str) -> Installation:
        data, run = tmp_path / name, tmp_path / f"{name}-run"
        data.mkdir()
        run.mkdir(mode=0o700)
        return Installation(data, run)

    return make


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Never changed: tests work on copies."""
    made = Installation.in_folder(tmp_path_factory.mktemp("seeded"))
    assert made.seed(DOCUMENTS).wait(timeout=120) == 0
    return made


@pytest.fixture
def installation(seeded: Installation, new_installation: Callable[[str], Installation]) -> Installation:
    """People, a library, four published documents and a session."""
    made = new_installation("old")
    shutil.copytree(seeded.data, made.data, dirs_exist_ok=True)
    return made


@pytest.fixture
def empty(new_installation: Callable[[str], Installation]) -> Installation:
    return new_installation("new")


@pytest.fixture(scope="session")
def kept_backup(seeded: Installation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup that is never changed: tests work on copies."""
    folder = tmp_path_factory.mktemp("backup")
    target = folder / "muniment.tar"
    source = Installation(folder / "data", seeded.run)
    shutil.copytree(seeded.data, source.data)
    made = source.manage("backup", target)
    assert made.returncode == 0, made.stderr
    return target


@pytest.fixture
def backup_file(kept_backup: Path, tmp_path: Path) -> Iterator[Path]:
    """A backup of an installation with four documents, its keys beside it."""
    for path in (kept_backup, kept_backup.with_name(kept_backup.name + ".keys")):
        shutil.copy2(path, tmp_path)
    yield tmp_path / kept_backup.name
