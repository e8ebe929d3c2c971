"""Rich text: paragraphs, headings by outline level or style, list items and tables.

The libraries for RTF give its text alone; headings and rows are what passages are found and cut by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.text import HEADING_STYLE

MEDIA_TYPE = "application/rtf"
TOKEN = re.compile(
    rb"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,9})? ?|\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z])"
    rb"|(?P<brace>[{}])|[\r\n\0]+|(?P<text>[^\\{}\r\n\0]+)|\\",
    re.DOTALL,
)
MAX_DEPTH = 10_000
SIGNS = {b"~": "\u00a0", b"_": "-", b"-": "", b"\n": "\n", b"\r": "\n", b"|": "", b":": ""}
SYMBOLS = {
    "tab": "\t",
    "line": "\n",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "nestcell": " ",
}
ENDS_PARAGRAPH = frozenset({"par", "sect", "page", "column", "nestrow"})
# Groups that hold no running text, beside those that call themselves optional with \*.
_SKIPPED = """
    colortbl filetbl pict object themedata datastore header headerl headerr headerf footer footerl footerr
    footerf fldinst nonshppict revtbl author operator keywords doccomm comment subject category manager
    company xe tc rxe bkmkstart bkmkend generator latentstyles
"""
SKIPPED = frozenset(_SKIPPED.split())
NOT_TEXT = SKIPPED | {"fonttbl", "stylesheet", "info", "listtext", "pntext", "title"}
NOTES = frozenset({"footnote", "annotation"})
# Windows' code pages by the number of a font's character set.
CHARSETS = {
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gb18030",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}


@dataclass(slots=True)
class Group:
    """What holds until the closing brace."""

    place: str = "text"  # text, note, skip, or the name of a table that is looked into
    font: int = -1
    fallback: int = 1
    hidden: bool = False


def read(file: File, progress: Progress) -> ReadDocument:
    progress(0, 1)
    reader = _Reader(Builder(MEDIA_TYPE))
    reader.run(file.read_bytes())
    progress(1, 1)
    return reader.builder.finish(reader.title)


class _Reader:
    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.title = ""
        self.groups = [Group()]
        self.code_page = "cp1252"
        self.fonts: dict[int, str] = {}
        self.styles: dict[int, int] = {}
        self.number = -1  # of the font or style that a table is describing
        self.raw = bytearray()
        self.text: list[str] = []
        self.note: list[str] = []
        self.cells: list[str] = []
        self.skip = 0  # characters that stand in for one that was given by its number
        self.level = self.depth = 0
        self.is_item = self.in_table = False

    def run(self, data: bytes) -> None:
        position = 0
        while match := TOKEN.match(data, position):
            position = match.end()
            if match["word"]:
                number = int(match["number"]) if match["number"] else None
                if match["word"] == b"bin":
                    position += max(number or 0, 0)
                else:
                    self._word(match["word"].decode("ascii").lower(), number)
            elif match["brace"]:
                self._brace(match["brace"])
            elif match["hex"]:
                self._bytes(bytes.fromhex(match["hex"].decode("ascii")))
            elif match["text"]:
                self._bytes(match["text"])
            elif match["sign"]:
                self._sign(match["sign"])
        self._paragraph()
        self._row()

    @property
    def group(self) -> Group:
        return self.groups[-1]

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self.skip = 0
        if brace == b"{":
            if len(self.groups) > MAX_DEPTH:
                raise BrokenFile("nested too deeply")
            self.groups.append(replace(self.group))
        elif len(self.groups) > 1:
            self.groups.pop()

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self.group.place = "skip"
        elif sign in SIGNS:
            self._say(SIGNS[sign])
        else:  # a brace or backslash that is meant
            self._bytes(sign)

    def _word(self, word: str, number: int | None) -> None:
        if word == "u":
            self._character(number or 0)
            return
        self._flush()
        on = number != 0
        if word in NOT_TEXT:
            self._enter(word)
        elif word in NOTES and self.group.place != "skip":
            self.group.place = "note"
        elif word == "ansicpg" and number:
            self.code_page = f"cp{number}" if number != 65001 else "utf-8"
        elif word in ("mac", "pc", "pca"):
            self.code_page = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}[word]
        elif word == "uc":
            self.group.fallback = min(max(number or 0, 0), 8)
        elif word == "f":
            self.group.font = self.number = number or 0
        elif word == "fcharset" and self.group.place == "fonttbl" and number in CHARSETS:
            self.fonts[self.number] = CHARSETS[number]
        elif word == "v":
            self.group.hidden = on
        elif self.group.place == "stylesheet":
            self.number = (number or 0) if word == "s" else self.number
        elif self.group.place in ("text", "note"):
            self._text_word(word, number)

    def _enter(self, word: str) -> None:
        inner = word in ("fonttbl", "stylesheet", "info") or (word == "title" and self.group.place == "info")
        if word in ("listtext", "pntext"):
            self.is_item = True
        if self.group.place != "skip" or inner:
            self.group.place = word if inner else "skip"

    def _text_word(self, word: str, number: int | None) -> None:
        if word in SYMBOLS:
            self._say(SYMBOLS[word])
        elif self.group.place == "note":
            return
        elif word in ENDS_PARAGRAPH:
            if self.in_table and word == "par":
                self._say("\n")
            else:
                self._paragraph()
        elif word == "cell":
            self.cells.append("".join(self.text))
            self.text.clear()
        elif word == "row":
            self._row()
        elif word == "pard":
            self._new_paragraph()
        elif word == "intbl":
            self.in_table = True
        elif word == "outlinelevel" and number is not None and 0 <= number < 9:
            self.level = number + 1
        elif word == "s":
            self.level = self.styles.get(number or 0, self.level)
        elif word == "ls" and number:
            self.is_item = True
        elif word == "ilvl":
            self.depth = min(max(number or 0, 0), 8)

    def _character(self, number: int) -> None:
        self._flush()
        code = number & 0xFFFF
        self._say(chr(code) if code else "")
        self.skip = self.group.fallback

    def _bytes(self, data: bytes) -> None:
        left_out = min(self.skip, len(data))
        self.skip -= left_out
        if self.group.place != "skip":
            self.raw += data[left_out:]

    def _flush(self) -> None:
        """The bytes so far as text: characters of two bytes come one byte at a time."""
        if self.raw:
            data, self.raw = bytes(self.raw), bytearray()
            encoding = self.fonts.get(self.group.font, self.code_page)
            try:
                text = data.decode(encoding, "replace")
            except LookupError:
                text = data.decode("cp1252", "replace")
            self._say(text, flushed=True)

    def _say(self, text: str, flushed: bool = False) -> None:
        if not flushed:
            self._flush()
        place = self.group.place
        if place == "title":
            self.title += text
        elif place == "stylesheet":
            if match := HEADING_STYLE.match(text.strip()):
                self.styles[self.number] = int(match[1]) or 1
        elif not self.group.hidden and place == "note":
            self.note.append(text)
        elif not self.group.hidden and place == "text":
            self.text.append(text)

    def _paragraph(self) -> None:
        self._flush()
        if self.cells and not self.in_table:
            self._row()
        text = _whole("".join(self.text))
        self.text.clear()
        if self.level:
            self.builder.block("heading", text, self.level)
        elif self.is_item:
            self.builder.block("item", text, self.depth)
        else:
            self.builder.block("paragraph", text)
        self.is_item = False
        if self.note:
            self.builder.block("paragraph", _whole("".join(self.note)))
            self.note.clear()

    def _row(self) -> None:
        if self.cells:
            self.builder.row(map(_whole, self.cells))
            self.cells.clear()

    def _new_paragraph(self) -> None:
        self.level = self.depth = 0
        self.is_item = self.in_table = False


def _whole(text: str) -> str:
    """Characters beyond the first 65,536 come as two halves."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
