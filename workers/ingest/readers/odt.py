"""OpenDocument text: headings, paragraphs, lists and tables of content.xml."""

from __future__ import annotations

import zipfile

from lxml import etree

from workers.ingest.document import BlockKind, ReadDocument
from workers.ingest.errors import BrokenFile, Encrypted
from workers.ingest.readers import File, Progress, contents
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.xml import TITLE, parse

MEDIA_TYPE = "application/vnd.oasis.opendocument.text"
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
# Deleted text, notes to the author, and definitions that are not shown where they stand.
SKIPPED = frozenset(
    {
        f"{TEXT}tracked-changes",
        f"{OFFICE}annotation",
        f"{TEXT}sequence-decls",
        f"{TEXT}variable-decls",
        f"{OFFICE}forms",
    }
)
MAX_SPACES = 1000


def read(file: File, progress: Progress) -> ReadDocument:
    progress(0, 1)
    with zipfile.ZipFile(contents(file)) as archive:
        names = archive.namelist()
        if "content.xml" not in names:
            raise BrokenFile("no content.xml")
        if "META-INF/manifest.xml" in names and b":encryption-data" in archive.read("META-INF/manifest.xml"):
            raise Encrypted
        body = parse(archive.read("content.xml")).find(f"{OFFICE}body/{OFFICE}text")
        title = parse(archive.read("meta.xml")).findtext(f".//{TITLE}") if "meta.xml" in names else ""
    if body is None:
        raise BrokenFile("no body")
    builder = Builder(MEDIA_TYPE)
    builder.page()
    _blocks(builder, body, -1)
    progress(1, 1)
    return builder.finish(title or "")


def _blocks(builder: Builder, parent: etree._Element, depth: int) -> None:
    """`depth` is that of the list around, -1 outside of lists."""
    kind: BlockKind = "item" if depth >= 0 else "paragraph"
    for child in parent:
        if child.tag in SKIPPED:
            continue
        if child.tag == f"{TEXT}h":
            level = child.get(f"{TEXT}outline-level", "1")
            builder.block("heading", _text(child), int(level) if level.isdigit() else 1)
        elif child.tag == f"{TEXT}p":
            builder.block(kind, _text(child), max(depth, 0))
        elif child.tag == f"{TEXT}list":
            _blocks(builder, child, depth + 1)
        elif child.tag == f"{TABLE}table-row":
            builder.row(" ".join(_text(p) for p in cell.iter(f"{TEXT}p", f"{TEXT}h")) for cell in child)
        else:
            _blocks(builder, child, depth)


def _text(element: etree._Element) -> str:
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{TEXT}s":
            count = child.get(f"{TEXT}c", "1")
            parts.append(" " * min(int(count) if count.isdigit() else 1, MAX_SPACES))
        elif child.tag == f"{TEXT}tab":
            parts.append("\t")
        elif child.tag == f"{TEXT}line-break":
            parts.append("\n")
        elif child.tag not in SKIPPED and isinstance(child.tag, str):
            parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)
