"""Pictures of pages for the viewer, drawn in the same kind of child that reads files."""

from __future__ import annotations

from pathlib import Path

from workers.ingest.errors import KilledReader
from workers.ingest.limits import MIB, Limits
from workers.ingest.sandbox import run

MAX_WIDTH = 3_000
PNG_START = b"\x89PNG\r\n\x1a\n"
# Somebody is waiting for it: no nice, little time.
PICTURE_LIMITS = Limits(memory=1024 * MIB, cpu=20, wall=30.0, output=48 * MIB, nice=0)


def page_picture(path: Path, page: int, width: int, limits: Limits = PICTURE_LIMITS) -> bytes:
    """PNG of page `page` (from 1) of a PDF or picture, `width` pixels wide (at most 3,000).

    Raises ReadError: NoSuchPage, TooLarge, Encrypted, BrokenFile, TookTooLong, NeedsTooMuchMemory,
    KilledReader.
    """
    arguments = {"page": page, "width": max(1, min(width, MAX_WIDTH))}
    data = run("picture", path, arguments, limits)
    if not data.startswith(PNG_START):
        raise KilledReader("bad answer")
    return data
