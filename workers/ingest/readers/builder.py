"""Puts together text, pages and blocks so that the ranges always fit; every reader uses it."""

from __future__ import annotations

from collections.abc import Iterable

from workers.ingest.document import Block, BlockKind, Box, Page, ReadDocument, Word
from workers.ingest.errors import EmptyFile, TooLarge
from workers.ingest.limits import MIB, Limits
from workers.ingest.readers.text import clean, one_line, tidy

# Kinds that stand on the next line after their like; all else has an empty line between.
CLOSE = frozenset({"row", "item"})


class Builder:
    """Call `page()` for each page, then `block()` or `words()` in reading order, then `finish()`."""

    # Some formats hold a text once and show it a million times: stop before memory does.
    max_text = Limits().text

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type
        self.warnings: list[str] = []
        self.pages: list[Page] = []
        self._parts: list[str] = []
        self._length = 0

    def page(self, label: str = "", width: float | None = None, height: float | None = None) -> None:
        number = len(self.pages) + 1
        label = one_line(label) or str(number)
        self.pages.append(Page(number, label, self._length, self._length, width, height))

    def block(self, kind: BlockKind, text: str, level: int = 0) -> None:
        """Adds a block; text that is nothing but space is skipped."""
        text = clean(text).strip("\n").rstrip() if kind == "code" else tidy(text)
        if text:
            start = self._open(kind)
            self._add(text)
            self._close(kind, start, level)

    def row(self, cells: Iterable[str]) -> None:
        """Adds a table row, cells joined by bars; a row without text is skipped."""
        texts = [one_line(cell) for cell in cells]
        if any(texts):
            self.block("row", " | ".join(texts))

    def words(self, kind: BlockKind, words: Iterable[tuple[str, Box, str]], level: int = 0) -> None:
        """Adds a block of (text, box, what follows: a space or nothing) and keeps where each word stands."""
        found = [(text, box, after) for raw, box, after in words if (text := one_line(raw))]
        if not found:
            return
        start = self._open(kind)
        last = len(found) - 1
        for index, (text, box, after) in enumerate(found):
            self.pages[-1].words.append(Word(self._length, self._length + len(text), box))
            self._add(text if index == last else text + after)
        self._close(kind, start, level)

    def finish(self, title: str = "") -> ReadDocument:
        """Raises EmptyFile if there was no text at all, or nothing but numbers of pages."""
        if all(block.kind == "running" for page in self.pages for block in page.blocks):
            raise EmptyFile
        for page in self.pages:
            page.end = max(page.end, page.start)
        return ReadDocument(one_line(title), "".join(self._parts), self.pages, self.media_type, self.warnings)

    def _open(self, kind: BlockKind) -> int:
        if not self.pages:
            self.page()
        page = self.pages[-1]
        if self._length:
            close = page.blocks and kind in CLOSE and page.blocks[-1].kind == kind
            self._add("\n" if close else "\n\n")
        if not page.blocks:
            page.start = self._length
        return self._length

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > self.max_text:
            raise TooLarge(limit=f"{self.max_text // MIB} MB of text")

    def _close(self, kind: BlockKind, start: int, level: int) -> None:
        page = self.pages[-1]
        page.blocks.append(Block(kind, start, self._length, level))
        page.end = self._length
