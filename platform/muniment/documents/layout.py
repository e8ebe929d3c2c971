"""Where words stand on a page, packed for the database, and the boxes that mark a range of text."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

FORMAT = 1
# Between the headings of a passage's path.
HEADING_SEPARATOR = " › "


@dataclass(frozen=True)
class Box:
    """A rectangle in PDF points from the top left of the page."""

    x: float
    y: float
    width: float
    height: float


WordBox = tuple[int, int, float, float, float, float]


def pack_words(words: Iterable[WordBox]) -> bytes:
    """Words as (start, end, x0, y0, x1, y1), starts in the document's text, to compressed JSON."""
    rows = [[s, e, *(round(value, 1) for value in box)] for s, e, *box in words]
    return zlib.compress(json.dumps([FORMAT, rows], separators=(",", ":")).encode())


def unpack_words(packed: bytes | memoryview) -> list[WordBox]:
    form, rows = json.loads(zlib.decompress(bytes(packed)))
    if form != FORMAT:
        raise ValueError(f"words of format {form} cannot be read")
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows]


def boxes_of(words: Iterable[WordBox], start: int, end: int) -> list[Box]:
    """One box a line for the words of a range, in reading order."""
    if start >= end:
        return []
    lines: list[list[float]] = []
    for word_start, word_end, x0, y0, x1, y1 in words:
        if word_end <= start or word_start >= end:
            continue
        last = lines[-1] if lines else None
        if last and _same_line(last, y0, y1) and -2 <= x0 - last[2] <= 4 * (y1 - y0):
            last[:] = [min(last[0], x0), min(last[1], y0), max(last[2], x1), max(last[3], y1)]
        else:
            lines.append([x0, y0, x1, y1])
    return [Box(x0, y0, x1 - x0, y1 - y0) for x0, y0, x1, y1 in lines]


def _same_line(line: list[float], y0: float, y1: float) -> bool:
    overlap = min(line[3], y1) - max(line[1], y0)
    return overlap > 0.5 * min(line[3] - line[1], y1 - y0)
