"""File names are untrusted text: shown and kept, never used as a path."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath

from muniment.documents.errors import BadName

# Marks that turn the direction of text: with them `exe.fdp` reads as `pdf.exe`.
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
LONGEST = 255


def clean_name(given: str) -> str:
    """The last part of a file name, NFC, without control and bidi characters, at most 255 characters.

    Raises `BadName` where nothing is left.
    """
    name = PurePosixPath(PureWindowsPath(given).name).name
    name = unicodedata.normalize("NFC", name)
    name = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cs", "Co", "Cn"})
    name = " ".join(_BIDI.sub("", name).split()).strip(" .")
    if not name:
        raise BadName
    if len(name) > LONGEST:
        stem, dot, suffix = name.rpartition(".")
        keep = f"{dot}{suffix}" if dot and len(suffix) < 12 else ""
        name = (stem if keep else name)[: LONGEST - len(keep)] + keep
    return name
