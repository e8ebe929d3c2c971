"""Putting a backup in place: everything is checked and made ready beside the data, then moved in.

What was there is moved aside, never removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils.translation import gettext as _

from muniment.audit import actions, macs
from muniment.audit.macs import MacKeyUnusable
from muniment.audit.services import record_alone
from muniment.documents.blobs import sync
from muniment.documents.generations import build_anew
from muniment.pages.errors import Forbidden
from muniment.scope import Role, Scope
from workers import guard
from workers.upkeep.archive import DATABASE, FORMAT, Manifest, unpack
from workers.upkeep.backup import FULL, KEY, keys_file
from workers.upkeep.errors import BackupDamaged, BackupTooNew, FolderInUse, RestoreFailed
from workers.upkeep.reindex import enqueue_everything

# What belongs to the data that is replaced; models, logs and the lock stay. `seal` holds the key of the log:
# the backup's log goes on under another one, for a key must never sign two trees of one size.
DATABASE_FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
REPLACED = (*DATABASE_FILES, KEY, "blobs", "index", "pages", "uploads", "valkey", "seal")


@dataclass(frozen=True)
class Restored:
    """`reindexing` is how many documents are indexed again; `aside` the folder with what was there before."""

    made_at: str
    blobs: int
    missing: list[str]
    damaged: list[str]
    reindexing: int
    keys: bool
    aside: str


def restore(source: Path, act: Callable[[], Scope], force: bool = False) -> Restored:
    """Put a backup in place. `act` gives who does it, and is asked once the restored database is open.

    Raises `FolderInUse`, `BackupDamaged`, `BackupTooNew`, `RestoreFailed`, `Forbidden`, `AlreadyRunning`;
    then nothing was changed.
    """
    if connection.vendor != "sqlite":
        raise RestoreFailed(
            _("The database is a server: put its dump in place with pg_restore, and the originals beside it.")
        )
    data = Path(settings.DATA_DIR)
    with _alone(data):
        occupied = _occupied(data)
        if occupied and not force:
            raise FolderInUse(
                _("The data folder holds data already: name an empty one, or say --force to move it aside.")
            )
        staging = data / "restoring"
        shutil.rmtree(staging, ignore_errors=True)
        try:
            staging.mkdir(mode=0o700)
            return _restore(source, data, staging, act, occupied)
        except OSError as error:
            raise _failed(error) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _restore(source: Path, data: Path, staging: Path, act: Callable[[], Scope], occupied: bool) -> Restored:
    manifest, size, digest = unpack(source, staging)
    _require_known(manifest)
    keys = _unpack_keys(keys_file(source), staging, digest)
    blobs = len(manifest.files) - 1
    with _database_at(staging / DATABASE):
        reindexing = _settle(act, {"blobs": blobs, "bytes": size, "sha256": digest})
    aside = _put_in_place(data, staging, occupied)
    return Restored(
        manifest.made_at,
        blobs,
        manifest.missing,
        manifest.damaged,
        reindexing,
        keys,
        aside.name if aside else "",
    )


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Nothing may run on the data folder: neither a supervisor nor single parts, nor start meanwhile."""
    with ExitStack() as locks:
        for lock in (data / "lock", *Path(settings.RUN_DIR).glob("*.lock")):
            locks.enter_context(guard.hold(lock))
        yield


def _occupied(data: Path) -> bool:
    database = data / DATABASE
    folders = (data / "blobs", data / "index")
    return (database.exists() and database.stat().st_size > 0) or any(
        folder.exists() and any(folder.iterdir()) for folder in folders
    )


def _require_known(manifest: Manifest) -> None:
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if set(manifest.migrations) - known:
        raise BackupTooNew(
            _("Version %(version)s made this backup, which is newer: install that version, then restore.")
            % {"version": manifest.app_version}
        )


def _unpack_keys(source: Path, staging: Path, archive: str) -> bool:
    """The key, where it lies beside the backup and belongs to it; codes of the trail are checked by both."""
    damaged = BackupDamaged(
        _("The keys belong to another backup, or one of the files was changed. Nothing was touched.")
    )
    try:
        row = json.loads(source.read_text())
        files = {str(name): str(text) for name, text in row["files"].items()}
        if row["format"] != FORMAT or row["archive"] != archive:
            raise damaged
        if macs.FILE in files:
            macs.adopt(files[macs.FILE])
    except FileNotFoundError:
        return False
    except (ValueError, KeyError, TypeError, AttributeError, MacKeyUnusable) as error:
        raise damaged from error
    if KEY not in files:
        return False
    path = staging / KEY
    path.touch(mode=0o600)
    path.write_text(files[KEY])
    sync(path)
    return True


@contextmanager
def _database_at(path: Path) -> Iterator[None]:
    """Work on another database for a while."""
    connection.close()
    usual = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = path
    try:
        yield
    except DatabaseError as error:
        raise RestoreFailed(_("The backup's database cannot be brought up to this version.")) from error
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual


def _settle(act: Callable[[], Scope], details: dict[str, object]) -> int:
    """Bring the database up to this version, end all sessions, order the index; gives how many documents."""
    call_command("migrate", interactive=False, verbosity=0)
    scope = act()
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    Session.objects.all().delete()
    reindexing = enqueue_everything()
    build_anew()
    record_alone(scope, actions.BACKUP_RESTORED, details=details)
    return reindexing


def _put_in_place(data: Path, staging: Path, occupied: bool) -> Path | None:
    """Move the old aside and the new in; when a step fails, all are taken back."""
    aside = data / f"before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    fresh = [name for name in (*DATABASE_FILES, KEY, "blobs") if (staging / name).exists()]
    moves = []
    if occupied:
        aside.mkdir(mode=0o700)
        # Without a key of its own the backup goes on with the one that is there.
        old = [name for name in REPLACED if (data / name).exists() and (name != KEY or KEY in fresh)]
        moves += [(data / name, aside / name) for name in old]
    moves += [(staging / name, data / name) for name in fresh]
    done: list[tuple[Path, Path]] = []
    try:
        for here, there in moves:
            here.rename(there)
            done.append((here, there))
        sync(data)
    except OSError:
        for here, there in reversed(done):
            there.rename(here)
        if occupied:
            aside.rmdir()
        raise
    return aside if occupied else None


def _failed(error: OSError) -> RestoreFailed:
    if error.errno in FULL:
        return RestoreFailed(
            _("There is not enough room in the data folder. Nothing was changed: make room.")
        )
    return RestoreFailed(
        _("The backup cannot be read or put in place (%(why)s). Nothing was changed.")
        % {"why": error.strerror}
    )
