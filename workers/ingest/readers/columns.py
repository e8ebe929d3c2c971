"""Where the columns of a table begin, told by the rows whose cells stand far apart to the rows around them.

In a row with a long cell the next one begins only a few points after it, less than any fixed gap that would
not cut prose as well. It begins where the cells above and below begin.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import chain, pairwise

from workers.ingest.readers.page_lines import Line, RawWord

# Gaps in sizes of the line: of cells whatever stands above them, and of those that begin at a column's edge.
WIDE, NARROW = 2.0, 0.6
# Points by which edges may differ; lines up and down that may belong to the same table.
EDGE, REACH = 1.5, 6
# So many cells of a line without wide gaps begin at edges, or it is prose that happens to.
ENOUGH = 2


def is_wide(word: RawWord, following: RawWord, size: float) -> bool:
    return _gap(word, following) > WIDE * size


def begins_cell(line: Line, word: RawWord, following: RawWord) -> bool:
    """Whether `following` stands in another cell than `word` before it."""
    if is_wide(word, following, line.size):
        return True
    return _gap(word, following) > NARROW * line.size and _near(following[1][0], line.columns)


def mark_columns(lines: Sequence[Line]) -> None:
    """Give each line the left edges of the columns around it, in points; none where there is no table."""
    edges = [_edges(line) for line in lines]
    for at, line in enumerate(lines):
        around = chain(*edges[max(at - REACH, 0) : at], *edges[at + 1 : at + 1 + REACH])
        line.columns = sorted(set(around))
        if line.columns and not edges[at] and _cells(line) < ENOUGH:
            line.columns = []


def _edges(line: Line) -> list[float]:
    """Where the cells after wide gaps begin, of a line with more than one of them."""
    begins = [b[1][0] for a, b in pairwise(line.words) if is_wide(a, b, line.size)]
    return begins if len(begins) > 1 else []


def _cells(line: Line) -> int:
    return sum(begins_cell(line, a, b) for a, b in pairwise(line.words))


def _gap(word: RawWord, following: RawWord) -> float:
    return following[1][0] - word[1][2]


def _near(place: float, edges: Sequence[float]) -> bool:
    at = bisect_left(edges, place - EDGE)
    return at < len(edges) and edges[at] <= place + EDGE
