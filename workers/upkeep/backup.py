"""A backup while people work: a snapshot of the database, and the originals that the snapshot names.

Originals never change, so those of the snapshot can be copied after it; one that was removed in between is
noted. Models, index, pictures and sockets are not in it: they are fetched or made again. The key lies apart,
so that the backup can be kept where the key must not be.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from muniment import __version__
from muniment.audit import actions, macs
from muniment.audit.actions import Outcome, Stage
from muniment.audit.errors import AuditUnavailable
from muniment.audit.services import record_alone
from muniment.documents.blobs import blob_path, sync
from muniment.documents.models import Version, VersionState
from muniment.pages.errors import Forbidden
from muniment.scope import Role, Scope
from workers.upkeep.archive import DATABASE, FORMAT, Manifest, Writer
from workers.upkeep.errors import BackupExists, BackupFailed

KEY = "secret.key"
KEYS = (KEY, macs.FILE)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Made:
    """`keys` says whether a key file lies beside it; a key that the environment gives is in no file."""

    bytes: int
    sha256: str
    blobs: int
    missing: list[str]
    damaged: list[str]
    keys: bool


def keys_file(target: Path) -> Path:
    return target.with_name(target.name + ".keys")


def make(scope: Scope, target: Path, force: bool = False) -> Made:
    """Write the backup and FILE.keys. Raises `Forbidden`, `BackupExists`, `BackupFailed`."""
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    if connection.vendor != "sqlite":
        raise BackupFailed(
            _("The database is a server: back it up with pg_dump, and the folder of originals after it.")
        )
    if not force and (target.exists() or keys_file(target).exists()):
        raise BackupExists(_("There is a backup of this name already: choose another, or say --force."))
    record_alone(scope, actions.BACKUP_MADE, stage=Stage.INTENT, outcome=Outcome.PENDING)
    try:
        made = _make(target)
    except BackupFailed:
        # Where the disk is full the trail may be, too: the intent stays, and the reason is told.
        with suppress(AuditUnavailable):
            record_alone(scope, actions.BACKUP_MADE, outcome=Outcome.FAILED)
        raise
    details = {"blobs": made.blobs, "bytes": made.bytes, "sha256": made.sha256}
    record_alone(scope, actions.BACKUP_MADE, details=details)
    return made


def _make(target: Path) -> Made:
    keys, snapshot = keys_file(target), Path(settings.DATA_DIR) / "backup.sqlite3"
    part, keys_part = target.with_name(target.name + ".part"), keys.with_name(keys.name + ".part")
    unfinished = (snapshot, snapshot.with_name(f"{snapshot.name}-journal"), part, keys_part)
    try:
        with _alone(unfinished):
            _snapshot(snapshot)
            made = _write(part, snapshot)
            if made.keys:
                _write_keys(keys_part, made.sha256)
                keys_part.replace(keys)
            else:
                keys.unlink(missing_ok=True)
            part.replace(target)
            sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise _failed(error) from error
    return made


@contextmanager
def _alone(unfinished: Iterable[Path]) -> Iterator[None]:
    """One backup of a data folder at a time. Removes what it, or one that was killed, leaves unfinished."""

    def clear() -> None:
        for path in unfinished:
            path.unlink(missing_ok=True)

    with (Path(settings.DATA_DIR) / "backup.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupFailed(_("Another backup is being made: wait for it.")) from None
        clear()
        try:
            yield
        finally:
            clear()


def _snapshot(target: Path) -> None:
    """The database as it is at one moment; people go on writing meanwhile."""
    target.touch(mode=0o600)
    source = Path(settings.DATABASES["default"]["NAME"])
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=20)) as there,
        closing(sqlite3.connect(target)) as copy,
    ):
        there.backup(copy)
        # One file that holds everything, without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")


def _contents(snapshot: Path) -> tuple[list[str], list[tuple[str, str, int]]]:
    """Names of the migrations; tenant, hash and size of every original that somebody needs."""
    with closing(sqlite3.connect(snapshot)) as database:
        migrations = database.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1")
        names = [name for (name,) in migrations]
        originals = database.execute(
            f"SELECT tenant, sha256, max(size) FROM {Version._meta.db_table} "  # noqa: S608 - a table's own name
            "WHERE state <> ? GROUP BY tenant, sha256 ORDER BY tenant, sha256",
            [VersionState.DELETED.value],
        )
        return names, originals.fetchall()


def _write(part: Path, snapshot: Path) -> Made:
    migrations, originals = _contents(snapshot)
    _require_room(part.parent, snapshot.stat().st_size + sum(size for _tenant, _sha256, size in originals))
    part.touch(mode=0o600)
    with part.open("r+b") as file:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        writer = Writer(file, Manifest(__version__, now, migrations))
        writer.add(DATABASE, snapshot)
        for tenant, sha256, _size in originals:
            _add_original(writer, UUID(tenant), sha256)
        size, digest = writer.close()
        file.flush()
        os.fsync(file.fileno())
    manifest = writer.manifest
    keys = any((Path(settings.DATA_DIR) / name).exists() for name in KEYS)
    return Made(size, digest, len(manifest.files) - 1, manifest.missing, manifest.damaged, keys)


def _require_room(folder: Path, need: int) -> None:
    """Better before an hour's work than after it."""
    if shutil.disk_usage(folder).free < need:
        raise BackupFailed(
            _("The backup needs %(need)s, which are not free there. Make room, or choose another disk.")
            % {"need": filesizeformat(need)}
        )


def _add_original(writer: Writer, tenant: UUID, sha256: str) -> None:
    name = f"blobs/{tenant}/{sha256}"
    try:
        entry = writer.add(name, blob_path(tenant, sha256))
    except FileNotFoundError:
        writer.manifest.missing.append(name)
        return
    if entry.sha256 != sha256:
        writer.manifest.damaged.append(name)


def _write_keys(path: Path, archive: str) -> None:
    """Secrets, bound to the backup that they belong to by its hash.

    Not the key that signs the log: a log that goes back to a backup must not sign other trees with it.
    """
    there = {name: Path(settings.DATA_DIR) / name for name in KEYS}
    files = {name: path.read_text() for name, path in there.items() if path.exists()}
    path.touch(mode=0o600)
    path.write_text(json.dumps({"format": FORMAT, "archive": archive, "files": files}))
    sync(path)


def _failed(error: OSError | sqlite3.Error) -> BackupFailed:
    if isinstance(error, sqlite3.Error):
        return BackupFailed(
            _("The database could not be copied. Run `manage.py doctor`: it tells whether the disk is full.")
        )
    if error.errno in FULL:
        return BackupFailed(_("There is not enough room for the backup. Make room, or choose another disk."))
    return BackupFailed(
        _("The backup cannot be written there (%(why)s): choose another place.") % {"why": error.strerror}
    )
