"""What lies in Microsoft's older container of streams: old office files, messages, locked new ones."""

from __future__ import annotations

import olefile

from workers.ingest.errors import BrokenFile, Encrypted, OldFormat, UnknownFormat
from workers.ingest.readers import File, contents

START = olefile.MAGIC
# Bit of the first bytes of a Word file, and the mark of a locked presentation.
WORD_IS_LOCKED = 0x01
SLIDES_ARE_LOCKED = b"\xdf\xc4\xd1\xf3"


def detect(file: File, formats: str) -> str:
    """`xls` or `msg`. Raises Encrypted, OldFormat, UnknownFormat, BrokenFile."""
    try:
        with olefile.OleFileIO(contents(file)) as ole:
            return _detect(ole, formats)
    except (OSError, ValueError, IndexError, TypeError, AttributeError) as error:  # as olefile has it
        raise BrokenFile(type(error).__name__) from error


def _detect(ole: olefile.OleFileIO, formats: str) -> str:
    if ole.exists("EncryptedPackage"):
        raise Encrypted
    if ole.exists("WordDocument"):
        head = ole.openstream("WordDocument").read(12)
        raise Encrypted if len(head) == 12 and head[11] & WORD_IS_LOCKED else OldFormat
    if ole.exists("PowerPoint Document"):
        user = ole.openstream("Current User").read(16) if ole.exists("Current User") else b""
        raise Encrypted if user[12:] == SLIDES_ARE_LOCKED or ole.exists("EncryptedSummary") else OldFormat
    if ole.exists("Workbook") or ole.exists("Book"):
        return "xls"
    if ole.exists("__properties_version1.0"):
        return "msg"
    raise UnknownFormat(formats=formats)
