"""The folder of an installation that is left: nothing runs on it, and nothing is written to it.

Its database is opened as a copy under the alias `OLD`, with what a killed process left in its log.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.conf import settings
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader
from django.utils.translation import gettext as _

from muniment import database
from muniment.accounts.models import Person
from muniment.pages.errors import Forbidden
from muniment.scope import Role
from workers.upkeep.archive import DATABASE
from workers.upkeep.errors import MoveFailed

OLD = "old"
# The database and what SQLite may have left beside it when it was killed.
DATABASE_FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-journal")


def staging() -> Path:
    """Where a move works; emptied before and after."""
    return Path(settings.DATA_DIR) / "moving"


@contextmanager
def still(folder: Path) -> Iterator[Callable[[], None]]:
    """Nothing runs on the old folder, nor starts meanwhile. Gives a check that nothing was written there.

    The folder may be mounted so that it can only be read: a shared lock needs no more.
    """
    if not (folder / DATABASE).is_file():
        raise MoveFailed(
            _("There is no installation in this folder: name the one that holds %(name)s.")
            % {"name": DATABASE}
        )
    running = MoveFailed(
        _("The old installation still runs: stop it, so that nothing is written after the move.")
    )

    def state() -> list[tuple[int, int]]:
        facts = [(folder / name).stat() for name in DATABASE_FILES if (folder / name).exists()]
        return [(fact.st_size, fact.st_mtime_ns) for fact in facts if fact.st_size]

    def unchanged() -> None:
        if state() != before:
            raise running

    before = state()
    lock = folder / "lock"
    if not lock.exists():  # it was restored, and never started
        yield unchanged
        return
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise running from None
        yield unchanged


@contextmanager
def copy_of(folder: Path) -> Iterator[None]:
    """Open a copy of the old database, with what its log still holds."""
    place = staging()
    place.parent.mkdir(parents=True, exist_ok=True)
    with (place.parent / "moving.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MoveFailed(_("Another move is on its way: wait for it.")) from None
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.mkdir(mode=0o700)
            for name in DATABASE_FILES:
                if (folder / name).exists():
                    shutil.copyfile(folder / name, place / name)
            _require_whole(place / DATABASE)
            connections.databases[OLD] = {**connection.settings_dict, **database.sqlite(place)}
            yield
        finally:
            if OLD in connections.databases:
                connections[OLD].close()
                del connections[OLD], connections.databases[OLD]
            shutil.rmtree(place, ignore_errors=True)


def _require_whole(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as old:
            whole = old.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            whole = whole and not old.execute("PRAGMA foreign_key_check").fetchone()
            known = old.execute("SELECT 1 FROM sqlite_master WHERE name = 'django_migrations'").fetchone()
    except sqlite3.DatabaseError:
        whole, known = False, None
    if not whole:
        raise MoveFailed(
            _(
                "The old database is damaged: put its last backup in place with `manage.py restore`, "
                "then move."
            )
        )
    if not known:
        raise MoveFailed(_("There is no installation in this folder: its database is empty."))


def require_same_schema() -> None:
    loader = MigrationLoader(connections[OLD])
    known, applied = set(loader.disk_migrations), set(loader.applied_migrations)
    if applied - known:
        raise MoveFailed(
            _(
                "A newer version of Muniment used the old installation: install that version at the site "
                "first."
            )
        )
    if known - applied:
        raise MoveFailed(
            _(
                "The old installation is of an older version: start it once with this version (`make up`), "
                "stop it, then move."
            )
        )


def actor(name: str | None) -> str:
    """The user name of who moves it: asked of the old database, before the long work."""
    people = Person.objects.using(OLD).filter(is_active=True).order_by("created_at")
    if name is not None:
        people = people.filter(username=name.lower())
    for person in people:
        if Role.SITE_ADMIN in person.roles:
            return person.username
    raise Forbidden
