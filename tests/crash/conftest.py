"""An index of its own for what is broken here, and files where each test has a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.crash.workshop import DIMENSION, MadeUpEmbedder
from tests.engines.index_process import IndexProcess
from workers.engines import connect
from workers.engines.index import QdrantIndex


@pytest.fixture(scope="session")
def index_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexProcess]:
    folder = tmp_path_factory.mktemp("index")
    process = IndexProcess(folder / "data", folder / "index.sock").start()
    yield process
    process.stop()


@pytest.fixture
def index(
    index_process: IndexProcess, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[QdrantIndex]:
    settings.INDEX_URL = index_process.url
    for name in ("BLOB_DIR", "UPLOAD_DIR", "PAGES_DIR"):
        setattr(settings, name, tmp_path / name)
    connect.index.cache_clear()
    monkeypatch.setattr(connect, "passage_embedder", lambda name, sha256: MadeUpEmbedder())
    found = QdrantIndex(index_process.url, DIMENSION)
    found.ensure()
    stray = [point.id for point in found.strays([uuid4()])]
    found.delete_strays([uuid4()], stray)
    yield found
    found.close()
    connect.index.cache_clear()
