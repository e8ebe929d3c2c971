"""The language that a document is written in."""

from __future__ import annotations

import re

import pycld2

# So much from the beginning and from the middle says what the rest is written in.
SAMPLE = 50_000
# Percent of the text that one language must have.
MOST = 60
CODE = re.compile(r"[a-z]{2}(?=-|$)")
# Codes that ISO 639-1 has replaced, and a name for nothing known.
REPLACED = {"iw": "he", "jw": "jv", "in": "id", "mo": "ro", "un": ""}


def language_of(text: str) -> str:
    """Two letters of ISO 639-1; '' when the text is too short, too mixed or no language."""
    middle = len(text) // 2
    sample = text[:SAMPLE] + (text[middle : middle + SAMPLE] if len(text) > 2 * SAMPLE else text[SAMPLE:])
    try:
        sure, _, found = pycld2.detect(sample, isPlainText=True)
    except pycld2.error:
        return ""
    _, code, percent, _ = found[0]
    match = CODE.match(code) if sure and percent >= MOST else None
    return REPLACED.get(match[0], match[0]) if match else ""
