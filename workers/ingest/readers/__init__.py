"""One module a format, each with `read(file, progress)`; they run in the reader's child process only."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from workers.ingest.document import ReadDocument

# Called with pages (or slides, sheets) done and in all; may raise to stop the reading.
Progress = Callable[[int, int], None]


class Enclosed:
    """A file within another, such as an attachment: a child can write no file, so it stays in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, _mode: str = "rb") -> io.BytesIO:
        return io.BytesIO(self._data)

    def read_bytes(self) -> bytes:
        return self._data


File = Path | Enclosed


def contents(file: File) -> str | io.BytesIO:
    """For libraries that take a path, of which they read no more than they need, or what can be sought in."""
    return str(file) if isinstance(file, Path) else file.open()


class Reader(Protocol):
    def __call__(self, file: File, progress: Progress) -> ReadDocument:
        """Reads the whole file; raises ReadError."""
