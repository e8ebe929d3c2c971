"""How a child hands its results on: frames in a pipe, and a document as plain bytes.

No pickle: the child has handled a stranger's file, so what it says is checked like any input.
"""

from __future__ import annotations

import json
import struct
from array import array
from itertools import islice

from workers.ingest.document import Block, BlockKind, Page, ReadDocument, Word

PROGRESS, RESULT, ERROR = b"P", b"R", b"E"
FRAME = struct.Struct("=cI")
STEP = struct.Struct("=II")
HEAD = struct.Struct("=IIII")
STATUS_BYTES = 32
KINDS: tuple[BlockKind, ...] = ("heading", "paragraph", "item", "row", "code", "running")
# Boxes travel, and stay, in hundredths of a point: finer than any screen shows.
FINENESS = 100
BLOCK_NUMBERS, WORD_NUMBERS = 4, 6


class BadAnswer(Exception):
    """The bytes are not what `encode` makes."""


def encode(document: ReadDocument) -> bytes:
    """A head with four lengths, then JSON, text, and the numbers of blocks and words."""
    blocks, words = array("i"), array("i")
    pages = []
    for page in document.pages:
        pages.append(
            [page.label, page.start, page.end, page.width, page.height, len(page.blocks), len(page.words)]
        )
        for block in page.blocks:
            blocks.extend((KINDS.index(block.kind), block.start, block.end, block.level))
        for word in page.words:
            words.extend((word.start, word.end, *(round(side * FINENESS) for side in word.box)))
    header = {
        "title": document.title,
        "media_type": document.media_type,
        "language": document.language,
        "warnings": document.warnings,
        "pages": pages,
    }
    parts = [json.dumps(header).encode(), document.text.encode(), blocks.tobytes(), words.tobytes()]
    return HEAD.pack(*map(len, parts)) + b"".join(parts)


def decode(data: bytes) -> ReadDocument:
    """Raises BadAnswer unless every range lies within the text."""
    try:
        return _decode(data)
    except (ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise BadAnswer from error


def _decode(data: bytes) -> ReadDocument:
    header_json, text_bytes, block_bytes, word_bytes = _parts(data)
    header = json.loads(header_json)
    text = text_bytes.decode()
    blocks, words = array("i", block_bytes), array("i", word_bytes)
    _check_ranges(blocks, BLOCK_NUMBERS, 1, len(text))
    _check_ranges(words, WORD_NUMBERS, 0, len(text))
    block_rows = zip(*[iter(blocks)] * BLOCK_NUMBERS, strict=True)
    word_rows = zip(*[iter(words)] * WORD_NUMBERS, strict=True)
    pages = []
    for number, (label, start, end, width, height, block_count, word_count) in enumerate(header["pages"], 1):
        if not 0 <= int(start) <= int(end) <= len(text):
            raise ValueError("page")
        page = Page(number, str(label), int(start), int(end), _size(width), _size(height))
        page.blocks = [Block(KINDS[k], s, e, level) for k, s, e, level in islice(block_rows, block_count)]
        page.words = [
            Word(s, e, (a / FINENESS, b / FINENESS, c / FINENESS, d / FINENESS))
            for s, e, a, b, c, d in islice(word_rows, word_count)
        ]
        pages.append(page)
    warnings = [str(warning) for warning in header["warnings"]]
    title, media_type, language = (str(header[name]) for name in ("title", "media_type", "language"))
    return ReadDocument(title, text, pages, media_type, warnings, language)


def _parts(data: bytes) -> list[bytes]:
    position = HEAD.size
    parts = []
    for length in HEAD.unpack_from(data):
        parts.append(data[position : position + length])
        position += length
    if position != len(data):
        raise ValueError("length")
    return parts


def _check_ranges(numbers: array[int], width: int, first: int, length: int) -> None:
    starts, ends = numbers[first::width], numbers[first + 1 :: width]
    if starts and (min(starts) < 0 or max(ends) > length or any(map(int.__gt__, starts, ends))):
        raise ValueError("range")


def _size(value: object) -> float | None:
    return None if value is None else float(str(value))
