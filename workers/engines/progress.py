"""A line that says what is being fetched, how much is there and how long it still takes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

MEGABYTE = 1_000_000


def bytes_below(folder: Path) -> int:
    """Sizes of all files below a folder; files that vanish meanwhile count nothing."""
    total = 0
    # os.walk, because Path.rglob fails when a folder vanishes while it looks there.
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(f"{place}/{name}").st_size
            except OSError:
                continue
    return total


class Progress:
    """Reports `measure()` bytes of `total` until it is left: one line rewritten, or one line in a while."""

    def __init__(
        self, what: str, total: int, measure: Callable[[], int], stream: TextIO | None = None
    ) -> None:
        self._what, self._total, self._measure = what, total, measure
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._left = threading.Event()
        self._began, self._first = time.monotonic(), measure()
        self._thread = threading.Thread(target=self._report, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join()
        self._say(end=True)

    def _report(self) -> None:
        while not self._left.wait(0.5 if self._live else 3):
            self._say()

    def _say(self, end: bool = False) -> None:
        done = min(self._measure(), self._total)
        gained, spent = done - self._first, time.monotonic() - self._began
        if gained < MEGABYTE and self._total > MEGABYTE:
            return  # nothing worth a line, and no speed to guess from
        line = (
            f"{self._what}: {done // MEGABYTE} of {max(1, self._total // MEGABYTE)} MB, "
            f"{100 * done // max(1, self._total)} %"
        )
        if end:
            line += f", took {spent:.0f} s"
        elif gained > 0:
            line += f", about {(self._total - done) * spent / gained:.0f} s left"
        self._stream.write(f"\r\033[K{line}" if self._live else f"{line}\n")
        if self._live and end:
            self._stream.write("\n")
        self._stream.flush()
