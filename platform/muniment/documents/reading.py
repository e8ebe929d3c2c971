"""A page as blocks of text with the cited words marked, a window of it at a time where it is long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from muniment.documents.models import Page, Version
from muniment.documents.queries import text_of

# A sheet may hold megabytes: that much of a page's text is shown at once.
WINDOW_CHARS = 20_000
# A block is kept whole at the edge of a window unless it is longer than this.
WHOLE_BLOCK_CHARS = 2_000


@dataclass(frozen=True)
class Span:
    """A range of the document's text."""

    start: int
    end: int

    def within(self, start: int, end: int) -> Span | None:
        span = Span(max(self.start, start), min(self.end, end))
        return span if span.start < span.end else None


@dataclass(frozen=True)
class Marks:
    """What is marked: the passage, and in it the sentence that fits best."""

    passage: Span | None = None
    best: Span | None = None


@dataclass(frozen=True)
class Window:
    """The part of a page that is shown; `before` and `after` are where the parts around it begin, or None."""

    start: int
    end: int
    before: int | None
    after: int | None


def window_of(page: Page, at: int | None, marks: Marks) -> Window:
    """Around `at`, an offset in the document, else around what is marked, else the page's beginning."""
    if page.end - page.start <= WINDOW_CHARS:
        return Window(page.start, page.end, None, None)
    if at is None:
        marked = (marks.best or marks.passage or Span(page.start, page.start)).start
        at = marked - WINDOW_CHARS // 4
    start = _edge(page, max(page.start, min(at, page.end - 1)), forward=False)
    end = _edge(page, min(page.end, start + WINDOW_CHARS), forward=True)
    before = max(page.start, start - WINDOW_CHARS) if start > page.start else None
    return Window(start, end, before, end if end < page.end else None)


def _edge(page: Page, at: int, forward: bool) -> int:
    """`at` moved to the end, or the beginning, of the block in which it lies."""
    for _kind, start, end, _level in page.blocks:
        if start < at < end and end - start <= WHOLE_BLOCK_CHARS:
            return int(end if forward else start)
    return at


def blocks_of(version: Version, page: Page, window: Window, marks: Marks) -> list[dict[str, Any]]:
    """The blocks of a window as `documents/_viewer.html` wants them."""
    text = text_of(version, window.start, window.end)
    shown = []
    for kind, start, end, level in page.blocks or [["paragraph", page.start, page.end, 0]]:
        span = Span(start, end).within(window.start, window.end)
        if span is None:
            continue
        parts = list(_parts(text, window.start, span, marks))
        shown.append({"kind": kind, "level": level, "parts": parts})
    return shown


def _parts(text: str, offset: int, span: Span, marks: Marks) -> Iterator[dict[str, Any]]:
    """`span` cut where marks begin and end; `text` begins at `offset` in the document."""
    marked = [mark.within(span.start, span.end) for mark in (marks.passage, marks.best) if mark]
    cuts = sorted({span.start, span.end, *_ends(mark for mark in marked if mark)})
    for start, end in pairwise(cuts):
        yield {
            "text": text[start - offset : end - offset],
            "marked": _covers(marks.passage, start) or _covers(marks.best, start),
            "best": _covers(marks.best, start),
        }


def _ends(spans: Iterable[Span]) -> Iterator[int]:
    for span in spans:
        yield span.start
        yield span.end


def _covers(span: Span | None, at: int) -> bool:
    return span is not None and span.start <= at < span.end
