"""A first draft of what people see in files, taken in the plainest way there is for each format.

    python -m tests.quality.plain_words FILES EXPECTED

Shares no code with the readers, so that it does not share their mistakes; it knows no order and no structure.
Formats that need more than that (pictures, RTF, Outlook) are left to a person; a text that is already in
EXPECTED stays.
"""

from __future__ import annotations

import codecs
import email
import email.policy
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pypdfium2
from defusedxml import ElementTree

UNSEEN = {"script", "style", "title", "template", "noscript", "select"}
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"))
BIG_MARKS = ((codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_BE, "utf-16"))
HEADERS = ("From", "To", "Cc", "Bcc", "Date", "Subject")
# Parts of office files whose text is shown.
PARTS = {
    ".docx": re.compile(r"word/(document|footnotes|endnotes|header\d*|footer\d*|comments)\.xml$"),
    ".pptx": re.compile(r"ppt/(slides|notesSlides|diagrams)/(slide|notesSlide|data)\d+\.xml$"),
    ".odt": re.compile(r"content\.xml$"),
}
PARAGRAPHS = {"p", "tr", "tab", "br", "h", "tc"}


def decoded(data: bytes) -> str | None:
    for mark, encoding in MARKS + BIG_MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    for encoding in ("utf-8", "utf-16-le" if data[1:2] == b"\0" else "utf-16-be", "cp1252"):
        try:
            text = data.decode(encoding)
        except ValueError:
            continue
        if "\0" not in text:
            return text
    return None


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.unseen = 0
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.unseen += tag in UNSEEN
        self.parts.append("" if tag in ("b", "i", "em", "strong", "span", "a", "u", "font") else " ")

    def handle_endtag(self, tag: str) -> None:
        self.unseen -= tag in UNSEEN and self.unseen > 0
        self.parts.append("" if tag in ("b", "i", "em", "strong", "span", "a", "u", "font") else " ")

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.parts.append(data)


def of_html(data: bytes) -> str | None:
    text = decoded(data)
    page = _Page()
    page.feed(text or "")
    return "".join(page.parts) if text is not None else None


def of_office(data: bytes, suffix: str) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if PARTS[suffix].match(name)]
        return "\n".join("".join(_shown(ElementTree.fromstring(archive.read(name)))) for name in names)


def _shown(root: Any) -> Iterator[str]:
    # Older programs' copy of drawn text.
    for parent in [e for e in root.iter() if e.tag.endswith("}AlternateContent")]:
        for fallback in [e for e in parent if e.tag.endswith("}Fallback")]:
            parent.remove(fallback)
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        if name in PARAGRAPHS:
            yield " "
        if name == "t" or "opendocument" in element.tag:
            yield element.text or ""
        if "opendocument" in element.tag:
            yield element.tail or ""


def of_workbook(data: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        texts = []
        for name in archive.namelist():
            if re.match(r"xl/(sharedStrings|worksheets/sheet\d+)\.xml$", name):
                root = ElementTree.fromstring(archive.read(name))
                texts += [e.text or "" for e in root.iter() if e.tag.endswith("}t")]
        return "\n".join(texts)


def of_book(data: bytes) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        pages = [n for n in archive.namelist() if n.endswith((".xhtml", ".html")) and "nav" not in n]
        return "\n".join(of_html(archive.read(name)) or "" for name in pages)


def of_mail(data: bytes) -> str | None:
    text = decoded(data)
    wide = b"\0" in data[:64] and text is not None
    message = email.message_from_bytes(text.encode() if wide and text else data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    said = [f"{name}: {message[name]}" for name in HEADERS if message[name]]
    body = message.get_body(("plain", "html"))
    for part in message.walk():
        name = part.get_filename()
        said.append(name or "")
        if part is body or (name and part.get_content_maintype() == "text"):
            content = str(part.get_content())
            is_page = part.get_content_type() == "text/html"
            said.append((of_html(content.encode()) if is_page else content) or "")
    return "\n".join(said)


def of_pdf(data: bytes) -> str | None:
    try:
        document = pypdfium2.PdfDocument(data)
        texts = [document[index].get_textpage().get_text_bounded() for index in range(len(document))]
    except pypdfium2.PdfiumError:
        return None
    text = "\n".join(texts)
    # A cut word is one word.
    return re.sub("[\x02\ufffe]\\s*", "", text) if text.strip() else None


WAYS: dict[str, Callable[[bytes], str | None]] = {
    **dict.fromkeys((".txt", ".md", ".csv", ".rst", ".org", ".json"), decoded),
    **dict.fromkeys((".html", ".htm", ".xml"), of_html),
    **{suffix: lambda data, suffix=suffix: of_office(data, suffix) for suffix in PARTS},
    ".xlsx": of_workbook,
    ".epub": of_book,
    ".eml": of_mail,
    ".pdf": of_pdf,
}


def main() -> None:
    files, expected = map(Path, sys.argv[1:3])
    expected.mkdir(parents=True, exist_ok=True)
    for path in sorted(files.iterdir()):
        way, target = WAYS.get(path.suffix.lower()), expected / f"{path.name}.txt"
        if way is None or target.exists():
            continue
        try:
            text = way(path.read_bytes())
        except (zipfile.BadZipFile, ElementTree.ParseError, LookupError, AssertionError):
            text = None
        if text is None or not text.strip():
            print(f"left to a person: {path.name}")
            continue
        target.write_text(text, encoding="utf-8", errors="replace")


if __name__ == "__main__":
    main()
