"""Word documents: headings, paragraphs, list items and tables in the order of the body."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from docx import Document
from docx.document import Document as DocumentType
from docx.oxml.ns import qn
from docx.table import Table
from docx.text.paragraph import Paragraph
from lxml import etree

from workers.ingest.document import ReadDocument
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.text import HEADING_STYLE
from workers.ingest.readers.xml import parse

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
# Wrappers whose content belongs to the body: content controls, custom XML, tracked insertions.
WRAPPERS = {qn("w:sdt"), qn("w:sdtContent"), qn("w:customXml"), qn("w:ins"), qn("w:smartTag")}
TEXT_PARTS = {qn("w:t"), qn("w:tab"), qn("w:br"), qn("w:cr"), qn("w:noBreakHyphen")}
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
BOX = qn("w:txbxContent")
NOTES = ("/footnotes", "/endnotes")
MAX_NESTING = 8


def read(file: File, progress: Progress) -> ReadDocument:
    progress(0, 1)
    with file.open("rb") as stream:
        document = Document(stream)
    # Older programs' copy of drawn text, which would be read twice.
    for fallback in list(document.element.body.iter(FALLBACK)):
        fallback.getparent().remove(fallback)
    builder = Builder(MEDIA_TYPE)
    builder.page()
    for part in _margins(document, "header"):
        _add(builder, part.element, document)
    _add(builder, document.element.body, document)
    for part in _margins(document, "footer"):
        _add(builder, part.element, document)
    for paragraphs in _notes(document):
        builder.block("paragraph", "\n".join(map(_text, paragraphs)))
    progress(1, 1)
    return builder.finish(_title(document))


def _add(builder: Builder, parent: Any, document: DocumentType) -> None:
    for kind, element in _body(parent):
        boxes = list(element.iter(BOX))
        for box in boxes:  # drawn beside the text or over it, not within its words
            box.getparent().remove(box)
        if kind == "p":
            _paragraph(builder, Paragraph(element, document))
        else:
            _table(builder, Table(element, document), 0)
        for box in boxes:
            _add(builder, box, document)


def _margins(document: DocumentType, name: str) -> list[Any]:
    """The headers or footers that pages show, each once."""
    shown = {"default", "even"} if document.settings.odd_and_even_pages_header_footer else {"default"}
    parts: dict[str, Any] = {}
    for section in document.element.body.iter(qn("w:sectPr")):
        kinds = shown | ({"first"} if section.find(qn("w:titlePg")) is not None else set())
        for reference in section.iterchildren(qn(f"w:{name}Reference")):
            part = document.part.related_parts.get(reference.get(qn("r:id")))
            if reference.get(qn("w:type"), "default") in kinds and hasattr(part, "element"):
                parts.setdefault("".join(_text(part.element).split()), part)
    return list(parts.values())


def _notes(document: DocumentType) -> Iterator[list[Any]]:
    """Footnotes and endnotes, each as its paragraphs, in their order; where they belong is a mere number."""
    for relation in document.part.rels.values():
        if relation.reltype.endswith(NOTES) and not relation.is_external:
            with suppress(etree.XMLSyntaxError):  # the text itself is whole
                for note in parse(relation.target_part.blob):
                    if note.get(qn("w:type"), "normal") == "normal":
                        yield list(note.iter(qn("w:p")))


def _body(parent: Any) -> Iterator[tuple[str, Any]]:
    for child in parent.iterchildren():
        if child.tag == qn("w:p"):
            yield "p", child
        elif child.tag == qn("w:tbl"):
            yield "tbl", child
        elif child.tag in WRAPPERS:
            yield from _body(child)


def _paragraph(builder: Builder, paragraph: Paragraph) -> None:
    text = _text(paragraph._p)
    style = paragraph.style
    name = (style.name or "") if style is not None else ""
    if name.lower() == "title":
        builder.block("heading", text, 1)
    elif match := HEADING_STYLE.match(name):
        builder.block("heading", text, int(match[1]))
    elif (level := _list_level(paragraph, name)) is not None:
        builder.block("item", text, level)
    else:
        builder.block("paragraph", text)


def _text(element: Any) -> str:
    """All text shown, with that of links and tracked insertions, without deletions and field codes."""
    parts = []
    for node in element.iter(*TEXT_PARTS):
        if node.tag == qn("w:t"):
            parts.append(node.text or "")
        elif node.tag == qn("w:tab"):
            # The same tag defines tab stops in the paragraph's properties.
            parts.append("\t" if node.getparent().tag == qn("w:r") else "")
        else:
            parts.append("-" if node.tag == qn("w:noBreakHyphen") else "\n")
    return "".join(parts)


def _list_level(paragraph: Paragraph, style: str) -> int | None:
    properties: Any = paragraph._p.pPr  # the library's types stop here
    numbering = properties.numPr if properties is not None else None
    if numbering is not None:
        return int(numbering.ilvl.val) if numbering.ilvl is not None else 0
    return 0 if style.lower().startswith("list ") else None


def _table(builder: Builder, table: Table, depth: int) -> None:
    """Row by row; a merged cell counts once, a table within a cell follows its row."""
    for row in table._tbl.tr_lst:
        cells = [cell for cell in row.tc_lst if cell.vMerge != "continue"]
        builder.row(" ".join(_text(p) for p in cell.p_lst) for cell in cells)
        if depth < MAX_NESTING:
            for cell in cells:
                for inner in cell.tbl_lst:
                    _table(builder, Table(inner, table._parent), depth + 1)


def _title(document: DocumentType) -> str:
    try:
        return document.core_properties.title or ""
    except (KeyError, ValueError, AttributeError):  # damaged properties do not make the text unreadable
        return ""
