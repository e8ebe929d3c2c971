"""Plain text and tables of separated values."""

from __future__ import annotations

import csv
import io
import re

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.decode import decode
from workers.ingest.readers.text import clean

EMPTY_LINES = re.compile(r"\n[^\S\n]*\n\s*")
ITEM = re.compile(r"^\s*(?:[-*•–]|\d{1,3}[.)])\s+\S")


def text_of(file: File, declared: str | None = None) -> str:
    """Raises BrokenFile when the bytes are no text."""
    text = decode(file.read_bytes(), declared)
    if text is None:
        raise BrokenFile("not text")
    return text


def read(file: File, progress: Progress) -> ReadDocument:
    """Paragraphs are what empty lines part; lines that look like list items stand alone."""
    progress(0, 1)
    builder = Builder("text/plain")
    for paragraph in EMPTY_LINES.split(clean(text_of(file))):
        lines = paragraph.strip("\n").split("\n")
        if all(ITEM.match(line) for line in lines):
            for line in lines:
                builder.block("item", line)
        else:
            builder.block("paragraph", paragraph)
    progress(1, 1)
    return builder.finish()


def read_csv(file: File, progress: Progress) -> ReadDocument:
    progress(0, 1)
    text = text_of(file).replace("\0", "")
    csv.field_size_limit(16 * 1024 * 1024)
    builder = Builder("text/csv")
    try:
        for row in csv.reader(io.StringIO(text, newline=""), _dialect(text)):
            builder.row(row)
    except csv.Error as error:
        raise BrokenFile("csv") from error
    progress(1, 1)
    return builder.finish()


def _dialect(text: str) -> type[csv.Dialect] | csv.Dialect:
    try:
        return csv.Sniffer().sniff(text[:8192], delimiters=",;\t|")
    except csv.Error:
        return csv.excel
