"""Bytes to text, for formats that do not say, or lie about, how they are encoded."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from workers.ingest.readers import euc_tw
from workers.ingest.readers.language import likeliest_language

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 256 * 1024
EAST_EUROPEAN = frozenset({"cp1250", "iso8859_2", "iso8859_4", "iso8859_10", "iso8859_16"})
# What is written with them, in ISO 639-1.
EASTERN = frozenset(["bs", "cs", "et", "hr", "hu", "lt", "lv", "pl", "ro", "sh", "sk", "sl", "sq", "sr"])
# Never met in files of today, but easily mistaken for those that are.
UNLIKELY = [
    "mac_cyrillic",
    "mac_greek",
    "mac_iceland",
    "mac_latin2",
    "mac_roman",
    "mac_turkish",
    "ptcp154",
    "utf_7",
]
MULTI_BYTE = [
    "big5",
    "big5hkscs",
    "cp932",
    "cp949",
    "cp950",
    "euc_jp",
    "euc_kr",
    "gb2312",
    "gb18030",
    "gbk",
    "johab",
]
HIGH_PAIR = re.compile(b"[\x80-\xff]{2}")
# With fewer foreign letters than this there is nothing to guess from: Western Europe is likeliest.
FEW = 8
# Escape sequences by which Japanese mail switches alphabets within plain ASCII.
SWITCHES = (b"\x1b$B", b"\x1b$@", b"\x1b(J")
# Bytes that text in any one-byte or multi-byte encoding hardly ever holds (escape is for ISO-2022).
RARE = bytes(b for b in range(32) if b not in b"\t\n\v\f\r\x1a\x1b") + b"\x7f"


def decode(data: bytes, declared: str | None = None) -> str | None:
    """The text, by byte-order mark, as declared, as UTF-8 or as guessed; None when it is no text."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    switched = "iso2022_jp" if any(switch in data[:SAMPLE] for switch in SWITCHES) else None
    for candidate in (declared, switched, "utf-8"):
        text = _strictly(data, candidate) if candidate else None
        if text is not None and "\0" not in text:
            return text
    return None if is_binary(data[:SAMPLE]) else _guessed(data)


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (LookupError, ValueError):
        return None


def is_binary(sample: bytes) -> bool:
    """Whether the beginning of a file cannot be that of a text."""
    if sample.startswith(tuple(mark for mark, _ in BOMS)) or _utf32(sample):
        return False
    if sample.count(0) * 5 > len(sample):  # every second byte: UTF-16 of a Latin text without a mark
        return sample.count(0) * 10 > len(sample) * 6
    return len(sample) - len(sample.translate(None, RARE)) > 2 + len(sample) // 200


def _utf32(sample: bytes) -> str | None:
    """The encoding of UTF-32 without a mark: no code point needs the highest byte, few the next."""
    if len(sample) < 8:
        return None
    for encoding, high in (("utf-32-be", 0), ("utf-32-le", 3)):
        if not any(sample[high::4]):
            text = _strictly(sample[: len(sample) // 4 * 4], encoding)
            return encoding if text and sum(char < " " for char in text) <= len(text) // 10 else None
    return None


def _utf16(sample: bytes) -> str | None:
    """The encoding of UTF-16 without a mark: of text that is mostly Latin the high bytes are zero."""
    big, little = sample[0::2].count(0), sample[1::2].count(0)
    if max(big, little) * 5 <= len(sample) or min(big, little) * 20 > max(big, little):
        return None
    return "utf-16-be" if big > little else "utf-16-le"


def _guessed(data: bytes) -> str | None:
    if wide := _utf32(data[:SAMPLE]) or _utf16(data[:SAMPLE]):
        return data.decode(wide, "replace")
    # A long text is judged by its beginning; cut at a line so that no character is halved.
    sample = data if len(data) <= SAMPLE else data[: data.rfind(b"\n", 0, SAMPLE) + 1] or data[:SAMPLE]
    if text := euc_tw.decode(data):
        return text
    excluded = UNLIKELY
    if not HIGH_PAIR.search(sample):  # every foreign letter stands alone: no multi-byte encoding
        if sum(byte > 0x7F for byte in sample) < FEW and (text := _strictly(data, "cp1252")):
            return text
        excluded = UNLIKELY + MULTI_BYTE
    best = from_bytes(sample, cp_exclusion=excluded).best()
    if best is None:
        return None
    encoding = best.encoding
    if encoding in EAST_EUROPEAN:
        # The West's bytes make sense there, too: only the language that comes out tells them apart.
        seen = likeliest_language(sample.decode(encoding, "replace"))
        if seen and seen not in EASTERN and (text := _strictly(data, "cp1252")) is not None:
            return text
        # Alike but for some letters; Windows' own has letters and quotation marks where ISO's has controls.
        encoding = "cp1250" if any(0x80 <= byte < 0xA0 for byte in sample) else "iso8859_2"
    return data.decode(encoding, "replace")
