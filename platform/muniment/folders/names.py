"""The name of a document that came from a folder is its path there: two folders may have one file name."""

from __future__ import annotations

from pathlib import PurePosixPath

from muniment.documents.models import Document
from muniment.documents.names import LONGEST, clean_name
from muniment.tenancy.models import Library

# Room for a number that tells it apart.
ROOM = 8


def document_name(path: str) -> str:
    """Raises `BadName`. Of a long path the end is kept, which is what the file is called."""
    # A backslash is no separator here, as it is in the names that browsers of Windows send.
    parts = [clean_name(part.replace("\\", "_")) for part in PurePosixPath(path).parts]
    name = "/".join(parts)
    while len(name) > LONGEST - ROOM and len(parts) > 1:
        parts = parts[1:]
        name = "…/" + "/".join(parts)
    if len(name) > LONGEST - ROOM:
        stem, suffix = _parted(name)
        name = stem[: LONGEST - ROOM - len(suffix)] + suffix
    return name


def free_name(library: Library, name: str) -> str:
    """In the open transaction: the name, or where another document has it, with a number."""
    taken = Document.objects.filter(library=library, deleted_at=None)
    stem, suffix = _parted(name)
    number, free = 1, name
    while taken.filter(name=free).exists():
        number += 1
        free = f"{stem} ({number}){suffix}"
    return free


def _parted(name: str) -> tuple[str, str]:
    stem, dot, suffix = name.rpartition(".")
    return (stem, f".{suffix}") if dot and len(suffix) < 12 and "/" not in suffix else (name, "")
