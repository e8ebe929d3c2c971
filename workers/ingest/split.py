"""Cuts a document into passages along its structure, sized in the embedder's own tokens."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from muniment.documents.layout import HEADING_SEPARATOR
from muniment.documents.sentences import sentences
from workers.ingest.document import Block, BlockKind, Page, Piece, ReadDocument

CountTokens = Callable[[list[str]], list[int]]
Range = tuple[int, int]
# A tokenizer may see one unknown token in a megabyte of rubbish: characters count as well.
CHARACTERS_PER_TOKEN = 12
MAX_HEADING, MAX_PATH = 80, 160
MAX_HEADER_ROW, MAX_LABEL = 120, 200
# Of a heading within a table, as readers of PDF have it.
DEEPEST = 6
VALUE = re.compile(r"[($€£¥+–— -]*\d")
YEAR = re.compile(r"(19|20)\d\d")


@dataclass(slots=True)
class Atom:
    """What is not cut any further: its range, its cost in tokens, the heading path it stands under."""

    start: int
    end: int
    cost: int
    kind: BlockKind
    heading: str
    opens: bool


def split(document: ReadDocument, count_tokens: CountTokens, target: int, limit: int) -> list[Piece]:
    """Passages of about `target` and never more than `limit` tokens, in order.

    They tile the text: `document.text[start:end] == text`, and only whitespace and running lines lie between
    them. A word is cut only if it alone is over the limit. `heading` is at most 160 characters long.
    """
    if not 1 <= target <= limit:
        raise ValueError("target must be between 1 and limit")
    counter = _Counter(document.text, count_tokens)
    room = max(limit - counter.marks, 1)
    atoms = list(_atoms(document, counter, room))
    groups = _pack(atoms, min(max(target - counter.marks, 1), room), room)
    return _pieces(document, _within(groups, counter, room), counter)


class _Counter:
    """Costs of ranges, asked for in batches.

    An embedder counts marks around each text that it sees. They are counted once a passage: with each word,
    they made passages of text without sentences a third as long as was meant.
    """

    def __init__(self, text: str, count_tokens: CountTokens) -> None:
        self.text = text
        self.count_tokens = count_tokens
        (self.marks,) = count_tokens([""])

    def tokens(self, ranges: Sequence[Range]) -> list[int]:
        return self.count_tokens([self.text[start:end] for start, end in ranges]) if ranges else []

    def costs(self, ranges: Sequence[Range]) -> list[int]:
        return [
            max(tokens - self.marks, (end - start) // CHARACTERS_PER_TOKEN, 1)
            for tokens, (start, end) in zip(self.tokens(ranges), ranges, strict=True)
        ]


def _atoms(document: ReadDocument, counter: _Counter, limit: int) -> Iterator[Atom]:
    placed = list(_with_headings(document))
    ranges = [(block.start, block.end) for block, _, _ in placed]
    parts = _refined(ranges, counter, limit)
    for (block, heading, opens), pieces in zip(placed, parts, strict=True):
        for number, (start, end, cost) in enumerate(pieces):
            yield Atom(start, end, cost, block.kind, heading, opens and number == 0)


def _with_headings(document: ReadDocument) -> Iterator[tuple[Block, str, bool]]:
    """Each block with its heading path and whether a new passage must begin at it."""
    by_page = len(document.pages) > 1 and document.pages[0].width is None  # slides, sheets
    stack: list[tuple[int, str]] = []
    header = ""
    previous: BlockKind | None = None
    crossed = False  # a running line, which no passage may hold
    for page in document.pages:
        if by_page:
            stack = [] if page.label == str(page.number) else [(0, page.label)]
            previous = None
        for block in page.blocks:
            if block.kind == "running":
                crossed = True
                continue
            opens = crossed or (previous is None and by_page)
            crossed = False
            if block.kind == "heading":
                opens = opens or previous != "heading"
                title = " ".join(document.text[block.start : block.end].split())[:MAX_HEADING]
                stack = [entry for entry in stack if entry[0] < max(block.level, 1)] + [
                    (max(block.level, 1), title)
                ]
            begins_rows = block.kind == "row" and previous != "row"
            found = _header_row(document.text[block.start : block.end]) if begins_rows else ""
            if _ends_table(block, page) or found or (begins_rows and page.width is None):
                header = ""
            in_table = header if block.kind == "row" else ""
            yield block, _path([title for _, title in stack], in_table), opens
            header = found or header
            previous = block.kind


def _ends_table(block: Block, page: Page) -> bool:
    """Whether the rows after this block are another table's. In a PDF labels of two lines and headings stand
    within tables, too."""
    if block.kind == "row":
        return False
    is_label = block.kind == "paragraph" and block.end - block.start <= MAX_LABEL
    is_within = is_label or (block.kind == "heading" and block.level == DEEPEST)
    return page.width is None or not is_within


def _header_row(row: str) -> str:
    """The first row of a table, if it names columns: without it, later rows do not say what they hold."""
    names = [cell for cell in row.split(" | ") if cell]
    has_values = any(VALUE.match(cell) and not YEAR.fullmatch(cell) for cell in names)
    return row if len(names) > 1 and not has_values and len(row) <= MAX_HEADER_ROW else ""


def _path(titles: list[str], header: str) -> str:
    """From the outermost heading to the innermost; where it is too long the outer ones go first."""
    titles = [*titles, header] if header else titles
    while len(titles) > 1 and len(HEADING_SEPARATOR.join(titles)) > MAX_PATH:
        titles = titles[1:]
    return HEADING_SEPARATOR.join(titles)[:MAX_PATH]


def _refined(ranges: list[Range], counter: _Counter, limit: int) -> list[list[tuple[int, int, int]]]:
    """Each range as it is, or cut into sentences, words, characters until no part is over the limit."""
    results: list[list[tuple[int, int, int]]] = [
        [(start, end, cost)] for (start, end), cost in zip(ranges, counter.costs(ranges), strict=True)
    ]
    cutters = [_sentences, _words]
    while any(cost > limit for parts in results for _, _, cost in parts):
        cut = cutters.pop(0) if cutters else _halves
        results = _cut_once(results, cut, counter, limit)
    return results


def _cut_once(
    results: list[list[tuple[int, int, int]]],
    cut: Callable[[str, int, int], list[Range]],
    counter: _Counter,
    limit: int,
) -> list[list[tuple[int, int, int]]]:
    """Cuts all parts that are over the limit; one batch of counting for all of them."""
    smaller = [
        [cut(counter.text, start, end) if cost > limit else [] for start, end, cost in parts]
        for parts in results
    ]
    costs = iter(counter.costs([r for parts in smaller for ranges in parts for r in ranges]))
    return [
        [
            new
            for part, ranges in zip(parts, cuts, strict=True)
            for new in ([(start, end, next(costs)) for start, end in ranges] if ranges else [part])
        ]
        for parts, cuts in zip(results, smaller, strict=True)
    ]


def _sentences(text: str, start: int, end: int) -> list[Range]:
    return [(start + a, start + b) for a, b in sentences(text[start:end])]


def _words(text: str, start: int, end: int) -> list[Range]:
    ranges = []
    position = start
    for word in text[start:end].split():
        position = text.index(word, position)
        ranges.append((position, position + len(word)))
        position += len(word)
    return ranges


def _halves(text: str, start: int, end: int) -> list[Range]:
    """Two halves of one word; a letter keeps its marks."""
    middle = (start + end) // 2
    while middle < end - 1 and unicodedata.combining(text[middle]):
        middle += 1
    return [(start, middle), (middle, end)] if start < middle < end else [(start, end)]


def _pack(atoms: list[Atom], target: int, limit: int) -> list[list[Atom]]:
    """Fills passages up to the target; a heading takes the text after it along, even beyond the target."""
    groups: list[list[Atom]] = []
    cost = 0
    for atom in atoms:
        group = groups[-1] if groups else None
        room = limit if group and all(one.kind == "heading" for one in group) else target
        if group is None or atom.opens or cost + atom.cost > room:
            groups.append([atom])
            cost = atom.cost
        else:
            group.append(atom)
            cost += atom.cost
    return groups


def _within(groups: list[list[Atom]], counter: _Counter, limit: int) -> list[list[Atom]]:
    """Costs need not add up exactly: what is over the limit when counted as a whole is halved again."""
    while True:
        costs = counter.costs([(group[0].start, group[-1].end) for group in groups])
        if all(cost <= limit or len(group) == 1 for group, cost in zip(groups, costs, strict=True)):
            return groups
        halved: list[list[Atom]] = []
        for group, cost in zip(groups, costs, strict=True):
            middle = (len(group) + 1) // 2
            halved += [group[:middle], group[middle:]] if cost > limit and len(group) > 1 else [group]
        groups = halved


def _pieces(document: ReadDocument, groups: list[list[Atom]], counter: _Counter) -> list[Piece]:
    tokens = counter.tokens([(group[0].start, group[-1].end) for group in groups])
    pages = [page for page in document.pages if page.blocks]
    starts = [page.start for page in pages]
    return [
        Piece(
            ordinal=ordinal,
            start=group[0].start,
            end=group[-1].end,
            page=_page_at(pages, starts, group[0].start),
            page_end=_page_at(pages, starts, group[-1].end - 1),
            heading=_heading(group),
            text=document.text[group[0].start : group[-1].end],
            tokens=count,
        )
        for ordinal, (group, count) in enumerate(zip(groups, tokens, strict=True))
    ]


def _page_at(pages: list[Page], starts: list[int], place: int) -> int:
    return pages[bisect_right(starts, place) - 1].number


def _heading(group: list[Atom]) -> str:
    """The path over the passage's first text; for headings alone, the innermost."""
    return next((atom.heading for atom in group if atom.kind != "heading"), group[-1].heading)
