"""Web pages: headings, paragraphs, lists, tables and code; no scripts, styles or hidden parts."""

from __future__ import annotations

import re

from lxml import etree, html

from workers.ingest.document import BlockKind, ReadDocument
from workers.ingest.errors import BrokenFile, EmptyFile
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.decode import decode

CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
SKIPPED = ("script", "style", "template", "noscript", "head", "svg", "math", "iframe", "object", "select")
HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
SPACE = re.compile(r"\s+")
_INLINE = """
    a abbr acronym b bdi bdo big br button cite code data del dfn em font i img input ins kbd label mark q s
    samp small span strike strong sub sup time tt u var wbr
"""
INLINE = frozenset(_INLINE.split())
HEADINGS = {f"h{level}": level for level in range(1, 7)}
# What a browser asks for when a page claims ISO-8859-1 is this superset.
SUPERSETS = {
    "iso-8859-1": "cp1252",
    "latin1": "cp1252",
    "us-ascii": "cp1252",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "gb2312": "gb18030",
    "ks_c_5601-1987": "cp949",
}


def read(file: File, progress: Progress) -> ReadDocument:
    progress(0, 1)
    builder = Builder("text/html")
    title = add_html(builder, file.read_bytes())
    progress(1, 1)
    return builder.finish(title)


def add_html(builder: Builder, data: bytes, declared: str | None = None) -> str:
    """Adds the page's blocks and returns its title. Raises BrokenFile when the bytes are no text."""
    if declared is None and (match := CHARSET.search(data[:4096])):
        declared = match[1].decode("ascii", "ignore").lower()
    text = decode(data, SUPERSETS.get(declared or "", declared))
    if text is None:
        raise BrokenFile("not text")
    root = _parsed(text)
    if root is None:
        raise EmptyFile
    title = str(root.findtext(".//title") or "")
    etree.strip_elements(root, *SKIPPED, with_tail=False)
    _Walk(builder).element(root)
    return title


def _parsed(text: str) -> etree._Element | None:
    # Given as bytes in a known encoding, so that what the page says of itself no longer counts.
    parser = html.HTMLParser(
        encoding="utf-8", no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        return html.document_fromstring(text.encode("utf-8", "ignore"), parser=parser)
    except etree.ParserError:  # nothing in it
        return None


class _Walk:
    """Collects running text and closes it as a block wherever a block element begins or ends."""

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.text: list[str] = []
        self.kind: BlockKind = "paragraph"
        self.level = 0

    def element(self, root: etree._Element) -> None:
        tag = root.tag if isinstance(root.tag, str) else ""
        if root.get("hidden") is not None or HIDDEN.search(root.get("style") or ""):
            return
        if tag == "br":
            self.text.append("\n")
        elif tag in INLINE:
            self._inside(root)
        elif tag == "pre":
            self._close()
            self.builder.block("code", "".join(root.itertext()))
        elif tag == "tr":
            self._row(root)
        elif tag in HEADINGS:
            self._block(root, "heading", HEADINGS[tag])
        elif tag in ("li", "dt", "dd"):
            self._block(root, "item", sum(1 for _ in root.iterancestors("ul", "ol", "dl")) - 1)
        else:
            self._block(root, self.kind, self.level)

    def _inside(self, root: etree._Element) -> None:
        self._say(root.text)
        for child in root:
            self.element(child)
            self._say(child.tail)

    def _say(self, text: str | None) -> None:
        if text:
            self.text.append(SPACE.sub(" ", text))

    def _block(self, root: etree._Element, kind: BlockKind, level: int) -> None:
        self._close()
        outer = self.kind, self.level
        self.kind, self.level = kind, max(level, 0)
        self._inside(root)
        self._close()
        self.kind, self.level = outer

    def _row(self, root: etree._Element) -> None:
        self._close()
        # A table used for layout has tables in its cells, or, where tags are missing, beside them.
        if root.find(".//table") is not None:
            self._block(root, "paragraph", 0)
        else:
            self.builder.row(_cell_text(cell) for cell in root if cell.tag in ("td", "th"))

    def _close(self) -> None:
        self.builder.block(self.kind, "".join(self.text), self.level)
        self.text.clear()


def _cell_text(element: etree._Element) -> str:
    """The text of a cell on one line; block elements in it are parted by a space."""
    parts = [element.text or ""]
    for child in element:
        apart = "" if child.tag in INLINE and child.tag != "br" else " "
        parts += [apart, _cell_text(child), apart, child.tail or ""]
    return "".join(parts)
