"""A real index for searching, started once, and disks of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from tests.engines.index_process import DIMENSION, IndexProcess
from tests.house import House, make_house
from workers.engines.index import QdrantIndex


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantIndex]:
    """Tests keep apart by tenants of their own."""
    folder = tmp_path_factory.mktemp("index")
    server = IndexProcess(folder / "data", folder / "index.sock").start()
    made = QdrantIndex(server.url, DIMENSION)
    made.ensure()
    yield made
    made.close()
    server.stop()


@pytest.fixture
def house(db: None, tmp_path: Path, settings: Settings) -> House:
    settings.BLOB_DIR = tmp_path / "blobs"
    return make_house()
