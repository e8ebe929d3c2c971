"""Lines of a page: words with their places, put into the order in which people read them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from workers.ingest.document import Box

RawWord = tuple[str, Box]
LETTER = re.compile(r"[^\W\d_]")
# Points between the cells of one row.
MAX_GAP = 400
AMOUNT = re.compile(r"[($€£¥+–—-]*(\d[\d.,]*)?[%)]*$")
# So many pairs of lines side by side, each with so many letters, are columns and no table; points by which
# edges may differ.
WOVEN, PROSE, EDGE = 6, 25, 3.0


@dataclass(slots=True)
class Line:
    """`columns` are the left edges of the table's columns around it, see `columns.py`."""

    words: list[RawWord]
    size: float
    bold: bool
    baseline: float
    hyphen: bool = False
    columns: list[float] = field(default_factory=list)

    @property
    def left(self) -> float:
        return self.words[0][1][0]

    @property
    def right(self) -> float:
        return self.words[-1][1][2]

    @property
    def upright(self) -> bool:
        """Not turned by a quarter, as notes in the margin are."""
        word, (x0, y0, x1, y1) = self.words[0]
        return len(word) < 3 or y1 - y0 < 2 * (x1 - x0)

    @property
    def text(self) -> str:
        return " ".join(word for word, _ in self.words)


def unwoven(lines: list[Line]) -> list[Line]:
    """The lines of two columns one after the other, where a file gives them from side to side."""
    parts = [part for line in lines for part in _cut(line)]
    pairs = [(a, b) for a, b in pairwise(parts) if _in_two_columns(a, b)]
    if len(pairs) < WOVEN:
        return lines
    edge = median(right.left for _, right in pairs)
    if sum(abs(right.left - edge) < EDGE for _, right in pairs) < 0.8 * len(pairs):
        return lines
    ordered: list[Line] = []
    run: list[Line] = []
    for line in parts:
        if line.left < edge - EDGE and line.right > edge:  # over both columns
            ordered += _left_first(run, edge)
            ordered.append(line)
            run = []
        else:
            run.append(line)
    return ordered + _left_first(run, edge)


def _cut(line: Line) -> list[Line]:
    """Both parts of a line with one wide gap in it, else the line."""
    gaps = [n for n, (a, b) in enumerate(pairwise(line.words), 1) if b[1][0] - a[1][2] > line.size]
    if len(gaps) != 1:
        return [line]
    left, right = line.words[: gaps[0]], line.words[gaps[0] :]
    return [
        Line(left, line.size, line.bold, line.baseline),
        Line(right, line.size, line.bold, line.baseline, line.hyphen),
    ]


def _in_two_columns(left: Line, right: Line) -> bool:
    size = min(left.size, right.size)
    beside = abs(left.baseline - right.baseline) < 0.2 * size and right.left - left.right > size
    return beside and min(len(left.text), len(right.text)) >= PROSE


def _left_first(run: list[Line], edge: float) -> list[Line]:
    if sum(_in_two_columns(a, b) for a, b in pairwise(run)) < WOVEN:
        return run
    return sorted(run, key=lambda line: line.left >= edge - EDGE)


def merge_side_by_side(lines: list[Line]) -> list[Line]:
    """Cells of a row, raised and lowered letters: what PDFium gave as lines of their own becomes one line."""
    merged: list[Line] = []
    for line in lines:
        last = merged[-1] if merged else None
        if last and _beside(last, line):
            # A bold title may have something else at the other end of its line.
            last.bold = last.bold and (line.bold or line.left - last.right > 2 * line.size)
            last.words.extend(line.words)
            last.hyphen = line.hyphen
            if line.size > last.size:
                last.size, last.baseline = line.size, line.baseline
        else:
            merged.append(line)
    return merged


def _beside(last: Line, line: Line) -> bool:
    gap, rise = line.left - last.right, abs(line.baseline - last.baseline)
    larger, smaller = max(last.size, line.size), min(last.size, line.size)
    if rise < 0.2 * smaller:
        return 0 <= gap < MAX_GAP
    if gap > 2 * larger and rise < 0.6 * smaller and all(AMOUNT.match(word) for word, _ in line.words):
        return gap < MAX_GAP  # amounts at half the height of a label that has two lines
    # raised or lowered: smaller than its neighbour, and right beside it
    return smaller < 0.9 * larger and rise < 0.6 * larger and -0.1 * larger < gap < 0.5 * larger
