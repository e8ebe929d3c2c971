from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workers.ingest.document import ReadDocument
from workers.ingest.sandbox import read_in_child

Read = Callable[[str, bytes], ReadDocument]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads bytes as the product does: in a child, from a blob whose name says nothing."""

    def read_bytes(name: str, data: bytes) -> ReadDocument:
        blob = tmp_path / "blob"
        blob.write_bytes(data)
        return read_in_child(blob, name)

    return read_bytes
