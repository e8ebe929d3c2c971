from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.house import House, make_house


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, settings: Settings) -> Iterator[Path]:
    """Each test has disks of its own."""
    settings.DATA_DIR = tmp_path
    settings.BLOB_DIR, settings.UPLOAD_DIR = tmp_path / "blobs", tmp_path / "uploads"
    settings.PAGES_DIR = tmp_path / "pages"
    yield tmp_path


@pytest.fixture
def house(db: None) -> House:
    return make_house()
