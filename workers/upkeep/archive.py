"""The file that a backup is: a tar with the database, the originals, and last a manifest of them.

The manifest stands at the end because only then is known what went in; its own hash follows it. So a file
that was cut anywhere has none, and is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from django.utils.translation import gettext as _

from muniment.documents.blobs import sync
from workers.upkeep.errors import BackupDamaged

FORMAT = 1
DATABASE = "muniment.sqlite3"
MANIFEST, SEAL = "manifest.json", "manifest.sha256"
_UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ALLOWED = re.compile(rf"{re.escape(DATABASE)}|blobs/{_UUID}/[0-9a-f]{{64}}")
# A line of the manifest for each original: enough for a million of them.
MANIFEST_BYTES = 256 * 1024 * 1024
PIECE = 1024 * 1024


@dataclass(frozen=True)
class Entry:
    name: str
    bytes: int
    sha256: str


@dataclass
class Manifest:
    """`migrations` are `app.name`. `missing` and `damaged` are originals that were so when it was made."""

    app_version: str
    made_at: str
    migrations: list[str]
    files: list[Entry] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    format: int = FORMAT


class Hashing:
    """A file whose bytes are counted and hashed as they pass, in one direction."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def read(self, size: int = -1) -> bytes:
        return self._passed(self._file.read(size))

    def write(self, data: bytes) -> int:
        self._passed(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.bytes

    def _passed(self, data: bytes) -> bytes:
        self._digest.update(data)
        self.bytes += len(data)
        return data


class Writer:
    """Writes an archive into an open file. `close` gives its size and hash."""

    def __init__(self, file: IO[bytes], manifest: Manifest) -> None:
        self.manifest = manifest
        self._out = Hashing(file)
        # It only ever writes to the file, which `close` ends.
        self._tar = tarfile.open(fileobj=self._out, mode="w")  # type: ignore[call-overload]  # noqa: SIM115

    def add(self, name: str, path: Path) -> Entry:
        """Raises `FileNotFoundError` before anything of the file is written."""
        with path.open("rb") as file:
            source = Hashing(file)
            self._member(name, os.fstat(file.fileno()).st_size, source)
        entry = Entry(name, source.bytes, source.sha256)
        self.manifest.files.append(entry)
        return entry

    def close(self) -> tuple[int, str]:
        text = json.dumps(asdict(self.manifest)).encode()
        seal = hashlib.sha256(text).hexdigest().encode()
        self._member(MANIFEST, len(text), BytesIO(text))
        self._member(SEAL, len(seal), BytesIO(seal))
        self._tar.close()
        return self._out.bytes, self._out.sha256

    def _member(self, name: str, size: int, source: Any) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        self._tar.addfile(info, source)


def unpack(source: Path, folder: Path) -> tuple[Manifest, int, str]:
    """Unpack into an empty folder and compare every file with the manifest; gives it, and size and hash.

    Only the database and originals are taken, by their exact names. Raises `BackupDamaged`, and `OSError`
    where the disk is full.
    """
    texts: dict[str, bytes] = {}
    found: dict[str, Entry] = {}
    with source.open("rb") as file:
        whole = Hashing(file)
        try:
            with tarfile.open(fileobj=whole, mode="r|", bufsize=PIECE) as tar:  # type: ignore[call-overload]  # it only reads
                for member in tar:
                    name = _name_of(member, {*texts, *found})
                    content = cast(IO[bytes], tar.extractfile(member))
                    if name in (MANIFEST, SEAL):
                        texts[name] = content.read()
                    else:
                        found[name] = _unpack_one(content, folder / name, name)
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise _damaged() from error
        while whole.read(PIECE):
            pass
    manifest = _manifest(texts)
    if {entry.name: entry for entry in manifest.files} != found or DATABASE not in found:
        raise _damaged()
    for place in {(folder / name).parent for name in found}:
        sync(place)
    return manifest, whole.bytes, whole.sha256


def _damaged() -> BackupDamaged:
    return BackupDamaged(
        _("The file is no backup, or it was cut or changed. Nothing was touched: use another copy of it.")
    )


def _name_of(member: tarfile.TarInfo, taken: set[str]) -> str:
    """A plain file of a known name, once. Links, folders, devices and other paths do not belong here."""
    name = member.name
    known = name in (MANIFEST, SEAL) or _ALLOWED.fullmatch(name)
    if not known or name in taken or member.type != tarfile.REGTYPE or member.sparse is not None:
        raise _damaged()
    if name in (MANIFEST, SEAL) and member.size > MANIFEST_BYTES:
        raise _damaged()
    return name


def _unpack_one(content: IO[bytes], path: Path, name: str) -> Entry:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        target = Hashing(file)
        while piece := content.read(PIECE):
            target.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return Entry(name, target.bytes, target.sha256)


def _manifest(texts: dict[str, bytes]) -> Manifest:
    if set(texts) != {MANIFEST, SEAL}:
        raise _damaged()
    if hashlib.sha256(texts[MANIFEST]).hexdigest().encode() != texts[SEAL]:
        raise _damaged()
    try:
        row = json.loads(texts[MANIFEST])
        if row["format"] != FORMAT:
            raise _damaged()
        files = [Entry(**entry) for entry in row.pop("files")]
        for name in ("migrations", "missing", "damaged"):
            row[name] = [str(item) for item in row[name]]
        return Manifest(**row, files=files)
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged() from error
