"""One module a format, each with `read(path, progress)`; they run in the reader's child process only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from workers.ingest.document import ReadDocument

# Called with pages (or slides, sheets) done and in all; may raise to stop the reading.
Progress = Callable[[int, int], None]


class Reader(Protocol):
    def __call__(self, path: Path, progress: Progress) -> ReadDocument:
        """Reads the whole file; raises ReadError."""
