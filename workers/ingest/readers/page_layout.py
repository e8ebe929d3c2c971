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

RawWord = tuple[str, Box]
PlacedWord = tuple[str, Box, str]
BULLET = re.compile(r"[•‣◦▪■●○–—·*-]$|(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.)]$|\((\d{1,3}|[a-z]|[ivx]{1,4})\)$")
ENDS = (".", "!", "?", ":", "。", "！", "？")
# Points between the cells of one row.
MAX_GAP = 400
LETTER = re.compile(r"[^\W\d_]")
NUMBER = re.compile(r"\d+")
AMOUNT = re.compile(r"[($€£¥+–—-]*(\d[\d.,]*)?[%)]*$")
CURRENCY = frozenset("$€£¥")
# A line in this part of the page, from its top or its bottom, on so many pages is a running one.
MARGIN, TIMES = 0.14, 3
# Lines at either end of a page that may be running ones.
CANDIDATES = 4
# So many pairs of lines side by side, each with so many letters, are columns and no table; points by which
# edges may differ.
WOVEN, PROSE, EDGE = 6, 25, 3.0
# Of a heading within a table: deeper than all others.
DEEPEST = 6


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


def arrange(
    pages: list[list[Line]], heights: Sequence[float], bookmarks: Sequence[Bookmark] = ()
) -> Iterator[Blocks]:
    """For each page its blocks as (kind, level, words); needs all pages to know what body text looks like.

    Running lines come first and last, so that nothing lies within what a page says.
    """
    body = _body_size(pages)
    running = _running_lines(pages, heights, body)
    marked = _marked(pages, bookmarks)
    grouped = [_group(lines, body, running[index], marked[index]) for index, lines in enumerate(pages)]
    levels = _levels(grouped, marked)
    known = {word for lines in pages for line in lines for word, _ in line.words}
    for index, groups in enumerate(grouped):
        blocks: Blocks = [
            (g.kind, levels(g) if g.kind == "heading" else 0, _joined(g.lines, known, g.kind == "row"))
            for g in groups
        ]
        yield [*running[index].top(), *blocks, *running[index].bottom()]


def _body_size(pages: list[list[Line]]) -> float:
    sizes: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            sizes[_rounded(line.size)] += len(line.words)
    return sizes.most_common(1)[0][0] if sizes else 1.0


def _rounded(size: float) -> float:
    return round(size * 2) / 2


class Running:
    """The running lines of a page, by their place among its lines."""

    def __init__(self) -> None:
        self.lines: dict[int, tuple[Line, bool]] = {}

    def top(self) -> Blocks:
        return [_as_block(line) for line, at_top in self.lines.values() if at_top]

    def bottom(self) -> Blocks:
        return [_as_block(line) for line, at_top in self.lines.values() if not at_top]


def _as_block(line: Line) -> tuple[BlockKind, int, list[PlacedWord]]:
    return "running", 0, [(word, box, " ") for word, box in line.words]


def _running_lines(pages: list[list[Line]], heights: Sequence[float], body: float) -> list[Running]:
    """Lines that stand at the top or bottom of several pages, alike but for the number of the page.

    The first of each stays what it is: a name that stands nowhere else can still be found.
    """
    found = [
        list(_candidates(index, *page, body)) for index, page in enumerate(zip(pages, heights, strict=True))
    ]
    times = Counter(key for page in found for key in {key for _, _, keys in page for key in keys})
    met: set[Key] = set()
    result = []
    for page, lines in zip(found, pages, strict=True):
        running = Running()
        within = {True: False, False: False}
        for place, at_top, keys in page:
            often = [key for key in keys if times[key] >= TIMES]
            # What stands further from the edge than a line of the page's own belongs to the page.
            within[at_top] = within[at_top] or not often
            if within[at_top]:
                continue
            first = met.isdisjoint(often) and any(LETTER.search(key[1]) for key in often)
            met.update(often)
            if not first:
                running.lines[place] = lines[place], at_top
        result.append(running)
    return result


# Whether at the top, the text, and the page's number less its index where the text has a place for it.
Key = tuple[bool, str, int | None]


def _candidates(
    index: int, lines: list[Line], height: float, body: float
) -> Iterator[tuple[int, bool, list[Key]]]:
    """From the edges inward."""
    order = sorted(range(len(lines)), key=lambda place: lines[place].baseline)
    for at_top, places in ((True, order[:CANDIDATES]), (False, order[: -CANDIDATES - 1 : -1])):
        for place in places:
            share = lines[place].baseline / height if height else 0.5
            near = share < MARGIN if at_top else share > 1 - MARGIN
            keys = _keys(lines[place], index, at_top, body)
            # A page's number may follow close upon a short page's text.
            yield place, at_top, [key for key in keys if near or not LETTER.search(key[1])]


def _keys(line: Line, index: int, at_top: bool, body: float) -> Iterator[Key]:
    text = line.text
    has_letters = LETTER.search(text)
    if has_letters:
        yield at_top, text, None
    if has_letters and at_top and (line.bold or line.size > 1.1 * body):
        return  # chapters of a page each count on as pages do
    for match in NUMBER.finditer(text):
        if len(match[0]) < 6:
            yield at_top, f"{text[: match.start()]}#{text[match.end() :]}", int(match[0]) - index


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


def _group(lines: list[Line], body: float, running: Running, marked: dict[int, int]) -> list[Group]:
    steps = [b.baseline - a.baseline for a, b in pairwise(lines)]
    pitch = median([s for s in steps if s > 0.5 * body] or [1.2 * body])
    groups: list[Group] = []
    for place, line in enumerate(lines):
        if place in running.lines:
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
    wide = [_is_wide(a, b, line.size) for a, b in pairwise(line.words)]
    return sum(wide) > 1 or (sum(wide) == 1 and any(char.isdigit() for char in line.words[-1][0]))


def _is_wide(word: RawWord, following: RawWord, size: float) -> bool:
    return following[1][0] - word[1][2] > 2 * size


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
        ends = [is_row and _ends_cell(a, b, line.size) for a, b in pairwise(line.words)]
        placed.extend(
            (word, box, " | " if end else " ")
            for (word, box), end in zip(line.words, [*ends, False], strict=True)
        )
        if line.hyphen and following:
            word, box, _ = placed[-1]
            placed[-1] = (word + _hyphen(word, following.words[0][0], known), box, "")
    return placed


def _ends_cell(word: RawWord, following: RawWord, size: float) -> bool:
    """A sign of currency stands far from its amount, but in the same cell."""
    if following[0] in CURRENCY and word[0][-1:].isdigit():
        return following[1][0] > word[1][2] + 0.5 * size
    return word[0] not in CURRENCY and _is_wide(word, following, size)


def _hyphen(first: str, second: str, known: set[str]) -> str:
    """'' or '-', as the document itself writes the word elsewhere; a hyphen within or a capital keeps it."""
    if first + second in known:
        return ""
    keeps = first + "-" + second in known or "-" in first or not second[:1].islower()
    return "-" if keeps else ""
