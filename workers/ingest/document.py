"""The values that reading and splitting pass on: what a document is once it has been read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Box = tuple[float, float, float, float]
BlockKind = Literal["heading", "paragraph", "item", "row", "code", "running"]


@dataclass(slots=True)
class Word:
    """A word: its range in the document text, its box in PDF points from the top left of the page."""

    start: int
    end: int
    box: Box


@dataclass(slots=True)
class Block:
    """A heading, paragraph, list item, table row, code, or a line that runs along the top or bottom of pages.

    `level` is that of a heading or of a list.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0


@dataclass(slots=True)
class Page:
    """A page, slide or sheet: its range in the document text, and for PDF its size and words."""

    number: int
    label: str
    start: int
    end: int
    width: float | None = None
    height: float | None = None
    words: list[Word] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class ReadDocument:
    """What was read; `language` is its code in ISO 639-1, '' when that is not sure."""

    title: str
    text: str
    pages: list[Page]
    media_type: str
    warnings: list[str] = field(default_factory=list)
    language: str = ""


@dataclass(frozen=True)
class Piece:
    """A passage to be: `document.text[start:end] == text`; pages count from 1."""

    ordinal: int
    start: int
    end: int
    page: int
    page_end: int
    heading: str
    text: str
    tokens: int
