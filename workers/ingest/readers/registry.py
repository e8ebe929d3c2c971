"""Which reader a file belongs to: by what is in it first, by its name second."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import PurePath

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile, EmptyFile, UnknownFormat
from workers.ingest.readers import File, Progress, archive, contents, ole
from workers.ingest.readers.decode import is_binary

SUPPORTED = (
    "PDF, DOCX, PPTX, XLSX, XLS, ODT, RTF, EPUB, HTML, Markdown, TXT, CSV, EML, MSG, PNG, JPEG, TIFF, BMP"
)
READERS = {
    "pdf": "pdf:read",
    "docx": "docx:read",
    "pptx": "pptx:read",
    "xlsx": "xlsx:read",
    "odt": "odt:read",
    "html": "html:read",
    "markdown": "markdown:read",
    "text": "plain:read",
    "csv": "plain:read_csv",
    "eml": "eml:read",
    "image": "image:read",
    "rtf": "rtf:read",
    "epub": "epub:read",
    "msg": "msg:read",
    "xls": "xls:read",
}
# Text says little of itself, so there the name decides.
TEXT_SUFFIXES = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".csv": "csv",
    ".tsv": "csv",
    ".htm": "html",
    ".html": "html",
    ".xhtml": "html",
    ".xml": "html",
    ".eml": "eml",
    ".txt": "text",
}
BINARY_SUFFIXES = (".pdf", ".docx", ".pptx", ".xlsx", ".xls", ".odt", ".epub", ".msg")
IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
BITMAP_START = re.compile(rb"BM.{4}\0{4}", re.DOTALL)
ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
RTF_START = b"{\\rtf"
OFFICE_PARTS = (
    (b"wordprocessingml.document.main+xml", "docx"),
    (b"presentationml.presentation.main+xml", "pptx"),
    (b"presentationml.slideshow.main+xml", "pptx"),
    (b"spreadsheetml.sheet.main+xml", "xlsx"),
)
MIME_TYPES = {b"application/vnd.oasis.opendocument.text": "odt", b"application/epub+zip": "epub"}
WEB_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL)
MAIL_HEADERS = re.compile(
    rb"^(?:From|To|Subject|Date|Received|Return-Path|Message-ID|MIME-Version): ", re.IGNORECASE | re.MULTILINE
)


def find_reader(file: File, name: str, max_unpacked: int) -> Callable[[File, Progress], ReadDocument]:
    """The reader's function. Raises UnknownFormat, EmptyFile, Encrypted, BrokenFile, TooLarge."""
    module, function = READERS[detect(file, name, max_unpacked)].split(":")
    found: Callable[[File, Progress], ReadDocument] = getattr(
        import_module(f"workers.ingest.readers.{module}"), function
    )
    return found


def detect(file: File, name: str, max_unpacked: int) -> str:
    """A key of READERS; `name` is the one the person gave, `file` may be called anything."""
    with file.open("rb") as stream:
        head = stream.read(64 * 1024)
    if not head.strip():
        raise EmptyFile
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(IMAGE_STARTS) or BITMAP_START.match(head):
        return "image"
    if head.startswith(ZIP_STARTS):
        return _office(file, max_unpacked)
    if head.startswith(ole.START):
        return ole.detect(file, SUPPORTED)
    if head.startswith(RTF_START):
        return "rtf"
    suffix = PurePath(name).suffix.lower()
    if suffix in BINARY_SUFFIXES:
        raise BrokenFile("not what its name says")
    return _kind_of_text(head, suffix)


def _office(file: File, max_unpacked: int) -> str:
    names = archive.check(file, max_unpacked)
    with zipfile.ZipFile(contents(file)) as opened:
        if "[Content_Types].xml" in names:
            types = opened.read("[Content_Types].xml")
            for part, kind in OFFICE_PARTS:
                if part in types:
                    return kind
        if "mimetype" in names and (found := MIME_TYPES.get(opened.read("mimetype").strip())):
            return found
    raise UnknownFormat(formats=SUPPORTED)


def _kind_of_text(head: bytes, suffix: str) -> str:
    if is_binary(head):
        raise UnknownFormat(formats=SUPPORTED)
    if suffix in TEXT_SUFFIXES:
        return TEXT_SUFFIXES[suffix]
    if WEB_PAGE.match(head):
        return "html"
    start = head[:2048].split(b"\n\n")[0]
    return "eml" if len(MAIL_HEADERS.findall(start)) >= 2 and MAIL_HEADERS.match(start) else "text"
