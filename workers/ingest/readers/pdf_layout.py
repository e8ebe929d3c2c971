"""Lines of a PDF to headings, paragraphs, items and rows; words cut at line ends become whole again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from workers.ingest.document import BlockKind, Box

RawWord = tuple[str, Box]
PlacedWord = tuple[str, Box, str]
BULLET = re.compile(r"[•‣◦▪■●○–—·*-]$|(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.)]$|\((\d{1,3}|[a-z]|[ivx]{1,4})\)$")
ENDS = (".", "!", "?", ":", "。", "！", "？")
# Points between the cells of one row.
MAX_GAP = 400
LETTER = re.compile(r"[^\W\d_]")


@dataclass(slots=True)
class Line:
    words: list[RawWord]
    size: float
    bold: bool
    baseline: float
    hyphen: bool = False

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


@dataclass(slots=True)
class Group:
    kind: BlockKind
    lines: list[Line]


Blocks = list[tuple[BlockKind, int, list[PlacedWord]]]


def merge_side_by_side(lines: list[Line]) -> list[Line]:
    """Cells of a row, raised and lowered letters: what PDFium gave as lines of their own becomes one line."""
    merged: list[Line] = []
    for line in lines:
        last = merged[-1] if merged else None
        if last and _beside(last, line):
            last.words.extend(line.words)
            last.hyphen = line.hyphen
            last.bold = last.bold and line.bold
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
    # raised or lowered: smaller than its neighbour, and right beside it
    return smaller < 0.9 * larger and rise < 0.6 * larger and -0.1 * larger < gap < 0.5 * larger


def arrange(pages: list[list[Line]]) -> Iterator[Blocks]:
    """For each page its blocks as (kind, level, words); needs all pages to know what body text looks like."""
    body = _body_size(pages)
    running = _running_lines(pages)
    grouped = [_group(lines, body, running) for lines in pages]
    sizes = {_rounded(g.lines[0].size) for groups in grouped for g in groups if g.kind == "heading"}
    levels = {size: min(level, 6) for level, size in enumerate(sorted(sizes, reverse=True), 1)}
    known = {word for lines in pages for line in lines for word, _ in line.words}
    for groups in grouped:
        yield [
            (g.kind, levels[_rounded(g.lines[0].size)] if g.kind == "heading" else 0, _joined(g.lines, known))
            for g in groups
        ]


def _body_size(pages: list[list[Line]]) -> float:
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[_rounded(line.size)] += len(line.words)
    return sizes.most_common(1)[0][0] if sizes else 1.0


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _running_lines(pages: list[list[Line]]) -> frozenset[str]:
    """What stands at the top or bottom of several pages is no heading, whatever it looks like."""
    seen = Counter(text for lines in pages for text in {line.text for line in lines[:2] + lines[-2:]})
    return frozenset(text for text, count in seen.items() if count >= 3)


def _group(lines: list[Line], body: float, running: frozenset[str]) -> list[Group]:
    steps = [b.baseline - a.baseline for a, b in pairwise(lines)]
    pitch = median([s for s in steps if s > 0.5 * body] or [1.2 * body])
    groups: list[Group] = []
    for line in lines:
        kind = _kind(line, body, running)
        last = groups[-1] if groups else None
        if last and _goes_on(last, line, kind, pitch):
            last.lines.append(line)
        else:
            groups.append(Group(kind, [line]))
    for group in groups:
        if group.kind == "heading" and sum(len(line.text) for line in group.lines) > 200:
            group.kind = "paragraph"
    return groups


def _kind(line: Line, body: float, running: frozenset[str]) -> BlockKind:
    text = line.text
    if _is_row(line):
        return "row"
    if len(line.words) > 1 and BULLET.match(line.words[0][0]) and not line.bold:
        return "item"
    stands_out = line.size >= 1.15 * body or (line.bold and line.size >= 0.95 * body)
    could_be = line.upright and len(text) <= 150 and LETTER.search(text) and text not in running
    goes_on = text.endswith((",", ";", "-")) or (text.endswith(".") and len(text) > 80)
    return "heading" if stands_out and could_be and not goes_on else "paragraph"


def _is_row(line: Line) -> bool:
    wide = [b[1][0] - a[1][2] > 2 * line.size for a, b in pairwise(line.words)]
    return sum(wide) > 1 or (sum(wide) == 1 and any(char.isdigit() for char in line.words[-1][0]))


def _goes_on(group: Group, line: Line, kind: BlockKind, pitch: float) -> bool:
    """Whether the line belongs to the block before it."""
    last = group.lines[-1]
    if last.hyphen:
        return True
    if kind in ("row", "item") or group.kind == "row" or abs(line.size - last.size) > 0.1 * last.size:
        return False
    if kind != group.kind and (kind, group.kind) != ("paragraph", "item"):
        return False
    step = line.baseline - last.baseline
    if step > 1.4 * pitch:
        return False
    ended = last.text.endswith(ENDS)
    if step < 0:  # the next column
        return not ended
    if group.kind == "item":
        return line.left > group.lines[0].left + 1
    edge = max(one.right for one in group.lines)
    return not (ended and (line.left > last.left + line.size or last.right < 0.9 * edge))


def _joined(lines: list[Line], known: set[str]) -> list[PlacedWord]:
    """The words of a block; parts of a cut word follow each other without a space."""
    placed: list[PlacedWord] = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        placed.extend((word, box, " ") for word, box in line.words)
        if line.hyphen and following:
            word, box, _ = placed[-1]
            placed[-1] = (word + _hyphen(word, following.words[0][0], known), box, "")
    return placed


def _hyphen(first: str, second: str, known: set[str]) -> str:
    """'' or '-', as the document itself writes the word elsewhere; a hyphen within or a capital keeps it."""
    if first + second in known:
        return ""
    keeps = first + "-" + second in known or "-" in first or not second[:1].islower()
    return "-" if keeps else ""
