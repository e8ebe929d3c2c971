"""E-books: the chapters in the order of the book, each a page, read as the web pages that they are."""

from __future__ import annotations

import posixpath
import zipfile
from contextlib import suppress
from urllib.parse import unquote

from lxml import etree

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile, EmptyFile, Encrypted
from workers.ingest.readers import File, Progress, contents
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.html import add_html
from workers.ingest.readers.xml import TITLE, parse

MEDIA_TYPE = "application/epub+zip"
CONTAINER = "META-INF/container.xml"
PAGES = ("application/xhtml+xml", "text/html")


def read(file: File, progress: Progress) -> ReadDocument:
    """Raises Encrypted for a book with a lock on its use, BrokenFile."""
    with zipfile.ZipFile(contents(file)) as archive:
        names = set(archive.namelist())
        if "META-INF/rights.xml" in names:
            raise Encrypted
        package = _package(archive, names)
        root = parse(archive.read(package))
        chapters = [name for name in _spine(root, posixpath.dirname(package)) if name in names]
        progress(0, len(chapters))
        builder = Builder(MEDIA_TYPE)
        for number, name in enumerate(chapters, 1):
            builder.page()
            with suppress(EmptyFile):  # a cover, a page that is one picture
                add_html(builder, archive.read(name))
            progress(number, len(chapters))
    return builder.finish(str(root.findtext(f".//{TITLE}") or ""))


def _package(archive: zipfile.ZipFile, names: set[str]) -> str:
    """The part that says which chapters there are."""
    if CONTAINER in names:
        for element in parse(archive.read(CONTAINER)).iter("{*}rootfile"):
            if (name := element.get("full-path", "")) in names:
                return str(name)
    raise BrokenFile("no package")


def _spine(root: etree._Element, folder: str) -> list[str]:
    places = {
        item.get("id"): posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        for item in root.iter("{*}item")
        if item.get("media-type") in PAGES
    }
    return [places[name] for item in root.iter("{*}itemref") if (name := item.get("idref")) in places]
