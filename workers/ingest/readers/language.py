"""The language that a document is written in."""

from __future__ import annotations

import re

import pycld2

# So much from the beginning and from the middle says what the rest is written in.
SAMPLE = 50_000
# Percent of what was recognised that one language must have, and of the whole text. Names and figures make
# the detector unsure of a text of one language, and English stems do Greek or Spanish words harm.
MOST, LEAST = 60, 30
CODE = re.compile(r"[a-z]{2}(?=-|$)")
# Codes that ISO 639-1 has replaced, and a name for nothing known.
REPLACED = {"iw": "he", "jw": "jv", "in": "id", "mo": "ro", "un": ""}


def language_of(text: str) -> str:
    """Two letters of ISO 639-1; '' when the text is too short, too mixed or no language."""
    middle = len(text) // 2
    found = _found(
        text[:SAMPLE] + (text[middle : middle + SAMPLE] if len(text) > 2 * SAMPLE else text[SAMPLE:])
    )
    code, percent = found[0] if found else ("", 0)
    recognised = sum(share for _, share in found)
    return code if percent >= LEAST and 100 * percent >= MOST * recognised else ""


def likeliest_language(text: str) -> str:
    """What most of the text's beginning is written in, be it ever so mixed; '' where nothing is known."""
    found = _found(text[:SAMPLE])
    return found[0][0] if found else ""


def _found(text: str) -> list[tuple[str, int]]:
    """Codes with their percent of the text, the largest first; '' is nothing known."""
    try:
        _, _, found = pycld2.detect(text, isPlainText=True)
    except pycld2.error:
        return []
    codes = [(CODE.match(code), percent) for _, code, percent, _ in found]
    return [(REPLACED.get(match[0], match[0]) if match else "", percent) for match, percent in codes]
