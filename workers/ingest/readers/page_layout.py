"""Lines of a page, by their places, to headings, paragraphs, items and rows; cut words become whole again.

What runs along the top or bottom of several pages is told apart, so that no passage holds it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from workers.ingest.document import BlockKind, Box
from workers.ingest.readers.columns import begins_cell, mark_columns
from workers.ingest.readers.page_lines import LETTER, Line, RawWord
from workers.ingest.readers.running_lines import running_lines

PlacedWord = tuple[str, Box, str]
BULLET = re.compile(r"[•‣◦▪■●○–—·*-]$|(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.)]$|\((\d{1,3}|[a-z]|[ivx]{1,4})\)$")
ENDS = (".", "!", "?", ":", "。", "！", "？")
CURRENCY = frozenset("$€£¥")
# Of a heading within a table: deeper than all others.
DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of the file's own table of contents: the page's index, depth from 0."""

    page: int
    level: int
    title: str


@dataclass(slots=True)
class Group:
    """Lines that are one block; `depth` is that of the bookmark which names it."""

    kind: BlockKind
    lines: list[Line]
    depth: int | None = None


Blocks = list[tuple[BlockKind, int, list[PlacedWord]]]


def arrange(
    pages: list[list[Line]], heights: Sequence[float], bookmarks: Sequence[Bookmark] = ()
) -> Iterator[Blocks]:
    """For each page its blocks as (kind, level, words); needs all pages to know what body text looks like.

    Running lines come first and last, so that nothing lies within what a page says.
    """
    body = _body_size(pages)
    running = running_lines(pages, heights, body)
    marked = _marked(pages, bookmarks)
    grouped = [_group(lines, body, running[index], marked[index]) for index, lines in enumerate(pages)]
    levels = _levels(grouped, marked)
    known = {word for lines in pages for line in lines for word, _ in line.words}
    for index, groups in enumerate(grouped):
        blocks: Blocks = [
            (g.kind, levels(g) if g.kind == "heading" else 0, _joined(g.lines, known, g.kind == "row"))
            for g in groups
        ]
        top, bottom = (_running_blocks(pages[index], running[index], at_top) for at_top in (True, False))
        yield [*top, *blocks, *bottom]


def _running_blocks(lines: list[Line], running: dict[int, bool], at_top: bool) -> Blocks:
    places = sorted(place for place in running if running[place] == at_top)
    return [("running", 0, [(word, box, " ") for word, box in lines[place].words]) for place in places]


def _body_size(pages: list[list[Line]]) -> float:
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[_rounded(line.size)] += len(line.words)
    return sizes.most_common(1)[0][0] if sizes else 1.0


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _marked(pages: list[list[Line]], bookmarks: Sequence[Bookmark]) -> list[dict[int, int]]:
    """For each page the depths of the lines that bookmarks name, by their place among its lines."""
    marked: list[dict[int, int]] = [{} for _ in pages]
    for bookmark in bookmarks:
        title = _letters(bookmark.title)
        if not title or not 0 <= bookmark.page < len(pages):
            continue
        for place, line in enumerate(pages[bookmark.page]):
            text = _letters(line.text)
            begins = len(text) >= 12 and title.startswith(text)
            if text == title or begins or (text.startswith(title) and len(text) < len(title) + 20):
                marked[bookmark.page].setdefault(place, bookmark.level)
                break
    return marked


def _letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def _group(lines: list[Line], body: float, running: dict[int, bool], marked: dict[int, int]) -> list[Group]:
    steps = [b.baseline - a.baseline for a, b in pairwise(lines)]
    pitch = median([s for s in steps if s > 0.5 * body] or [1.2 * body])
    mark_columns(lines)
    groups: list[Group] = []
    for place, line in enumerate(lines):
        if place in running:
            continue
        kind: BlockKind = "heading" if place in marked else _kind(line, body)
        last = groups[-1] if groups else None
        if last and place not in marked and _goes_on(last, line, kind, pitch):
            last.lines.append(line)
        else:
            groups.append(Group(kind, [line], marked.get(place)))
    for group in groups:
        if group.kind == "heading" and sum(len(line.text) for line in group.lines) > 200:
            group.kind = "paragraph"
    return groups


def _levels(grouped: list[list[Group]], marked: list[dict[int, int]]) -> Callable[[Group], int]:
    """The level of a heading: that of its bookmark, or below them by size, capitals before small letters."""
    below = 1 + max((level for page in marked for level in page.values()), default=-1)
    styles = {_style(g) for groups in grouped for g in groups if g.kind == "heading" and g.depth is None}
    ranks = {style: rank for rank, style in enumerate(sorted(styles, reverse=True), 1)}
    within = {
        id(g)
        for groups in grouped
        for before, g, after in zip(groups, groups[1:], groups[2:], strict=False)
        if g.kind == "heading" and before.kind == after.kind == "row"
    }

    def level(group: Group) -> int:
        if group.depth is not None:
            return min(group.depth + 1, DEEPEST - 1)
        return DEEPEST if id(group) in within else min(below + ranks[_style(group)], DEEPEST - 1)

    return level


def _style(group: Group) -> tuple[float, bool]:
    return _rounded(group.lines[0].size), group.lines[0].text.isupper()


def _kind(line: Line, body: float) -> BlockKind:
    text = line.text
    if _is_row(line):
        return "row"
    if len(line.words) > 1 and BULLET.match(line.words[0][0]) and not line.bold:
        return "item"
    stands_out = line.size >= 1.15 * body or (line.bold and line.size >= 0.95 * body)
    could_be = line.upright and len(text) <= 150 and LETTER.search(text) and not text.startswith("(")
    goes_on = text.endswith((",", ";", "-")) or (text.endswith(".") and len(text) > 80)
    return "heading" if stands_out and could_be and not goes_on else "paragraph"


def _is_row(line: Line) -> bool:
    cells = sum(begins_cell(line, a, b) for a, b in pairwise(line.words))
    return cells > 1 or (cells == 1 and any(char.isdigit() for char in line.words[-1][0]))


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


def _joined(lines: list[Line], known: set[str], is_row: bool) -> list[PlacedWord]:
    """The words of a block; parts of a cut word follow each other without a space, cells after a bar."""
    placed: list[PlacedWord] = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        ends = [is_row and _ends_cell(line, a, b) for a, b in pairwise(line.words)]
        placed.extend(
            (word, box, " | " if end else " ")
            for (word, box), end in zip(line.words, [*ends, False], strict=True)
        )
        if line.hyphen and following:
            word, box, _ = placed[-1]
            placed[-1] = (word + _hyphen(word, following.words[0][0], known), box, "")
    return placed


def _ends_cell(line: Line, word: RawWord, following: RawWord) -> bool:
    """A sign of currency stands far from its amount, but in the same cell."""
    if following[0] in CURRENCY and word[0][-1:].isdigit():
        return following[1][0] > word[1][2] + 0.5 * line.size
    return word[0] not in CURRENCY and begins_cell(line, word, following)


def _hyphen(first: str, second: str, known: set[str]) -> str:
    """'' or '-', as the document itself writes the word elsewhere; a hyphen within or a capital keeps it."""
    if first + second in known:
        return ""
    keeps = first + "-" + second in known or "-" in first or not second[:1].islower()
    return "-" if keeps else ""
