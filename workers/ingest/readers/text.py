"""Text as every reader hands it on: composed (NFC), without controls, hidden or turning characters."""

from __future__ import annotations

import re
import unicodedata

LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Controls but newline and tab; soft hyphen; direction marks; zero-width space; byte-order mark; lone
# surrogates; non-characters; tag characters, with which text can be hidden from people but not from models.
UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufdd0-\ufdef\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
SPACES = re.compile(r"[^\S\n]+")
AROUND_BREAK = re.compile(r" ?\n[ \n]*")
# What Word calls its styles for headings, in the languages that it is mostly used in.
HEADING_STYLE = re.compile(r"(?:heading|überschrift|titre|título|titolo|kop|rubrik)\s*(\d)", re.IGNORECASE)


def clean(text: str) -> str:
    """The same text, normalised; spaces and line breaks stay as they are."""
    if text.isascii() and text.isprintable():
        return text
    text = UNWANTED.sub("", LINE_BREAKS.sub("\n", text))
    return unicodedata.normalize("NFC", text)


def tidy(text: str) -> str:
    """`clean`, with every run of spaces made one, no blank lines, nothing at the edges."""
    return AROUND_BREAK.sub("\n", SPACES.sub(" ", clean(text))).strip()


def one_line(text: str) -> str:
    """`clean`, all on one line: a title, a label, a table cell."""
    return " ".join(clean(text).split())
