"""The zip files that office formats are: what they would unpack to is checked before a parser opens them."""

from __future__ import annotations

import zipfile
import zlib
from xml.parsers import expat

from workers.ingest.errors import BrokenFile, Encrypted, TooLarge
from workers.ingest.readers import File

MAX_MEMBERS = 10_000
# Office XML repeats itself and packs well, but not like this; small files may.
MAX_RATIO, RATIO_FROM = 150, 32 * 1024 * 1024
ENCRYPTED_BIT = 0x1
CHUNK = 16 * 1024


def check(file: File, max_unpacked: int) -> list[str]:
    """Names of the members. Raises TooLarge, Encrypted, BrokenFile (also for a DTD, which only bombs have).

    `zipfile` never unpacks more than the size a member declares, so the declared sizes can be trusted.
    """
    try:
        with file.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            ratio = unpacked / max(stream.seek(0, 2), 1)
            if unpacked > max_unpacked or (unpacked > RATIO_FROM and ratio > MAX_RATIO):
                raise TooLarge(limit=f"{max_unpacked // 2**20} MB")
            if len(members) > MAX_MEMBERS:
                raise TooLarge(limit=f"{MAX_MEMBERS} parts")
            if any(member.flag_bits & ENCRYPTED_BIT for member in members):
                raise Encrypted
            for member in members:
                if member.filename.lower().endswith((".xml", ".rels")):
                    _refuse_doctype(archive, member)
            return [member.filename for member in members]
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise BrokenFile(type(error).__name__) from error


class _PrologRead(Exception):
    pass


def _refuse_doctype(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Reads up to the first element, where a document type could stand, and no further."""

    def stop(*_: object) -> None:
        raise _PrologRead

    def refuse(*_: object) -> None:
        raise BrokenFile("doctype")

    parser = expat.ParserCreate()
    parser.StartElementHandler = stop
    parser.StartDoctypeDeclHandler = refuse
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(CHUNK):
                parser.Parse(chunk)
    except (_PrologRead, expat.ExpatError, zipfile.BadZipFile, zlib.error):
        return  # what is broken is for the format's own parser to judge
