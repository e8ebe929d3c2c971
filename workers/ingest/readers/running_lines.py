"""Lines that stand at the top or bottom of several pages, alike but for the number of the page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from workers.ingest.readers.page_lines import LETTER, Line

NUMBER = re.compile(r"\d+")
# A line in this part of the page, from its top or its bottom, on so many pages is a running one.
MARGIN, TIMES = 0.14, 3
# Lines at either end of a page that may be running ones.
CANDIDATES = 4
# Whether at the top, the text, and the page's number less its index where the text has a place for it.
Key = tuple[bool, str, int | None]


def running_lines(pages: list[list[Line]], heights: Sequence[float], body: float) -> list[dict[int, bool]]:
    """For each page its running lines, by their place among its lines, and whether they are at the top.

    The first of each is left out: a name that stands nowhere else can still be found.
    """
    found = [
        list(_candidates(index, *page, body)) for index, page in enumerate(zip(pages, heights, strict=True))
    ]
    times = Counter(key for page in found for key in {key for _, _, keys in page for key in keys})
    met: set[Key] = set()
    result = []
    for page in found:
        running: dict[int, bool] = {}
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
                running[place] = at_top
        result.append(running)
    return result


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
