"""From one machine to a site: an embedded installation's folder into PostgreSQL and the site's data folder.

The old folder is only read; the work is done on a copy of its database. Originals come first, by their
hashes, then all rows in one transaction that ends with reading both sides again. So a move that is refused
or killed leaves at most originals that nobody sees, and the same command begins anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connection, transaction
from django.db.migrations.loader import MigrationLoader
from django.db.models import AutoField, Max
from django.db.models.sql import InsertQuery
from django.utils.translation import gettext as _

from muniment.audit import actions, macs
from muniment.audit.macs import MacKeyUnusable
from muniment.audit.services import record
from muniment.documents.generations import build_anew
from muniment.documents.models import Document, Upload, Version
from muniment.jobs.services import end_all_leases
from muniment.scope import Scope
from workers.upkeep import originals, tables
from workers.upkeep.backup import FULL
from workers.upkeep.errors import MoveFailed
from workers.upkeep.leaving import OLD, actor, copy_of, require_same_schema, still
from workers.upkeep.reindex import enqueue_everything
from workers.upkeep.tables import Content, Unfit

SHOWN = 5


@dataclass(frozen=True)
class Moved:
    """`unfinished` uploads stay behind. `sha256` is over all tables' hashes, as in the event of the move."""

    contents: list[Content]
    originals: int
    bytes: int
    copied: int
    reindexing: int
    unfinished: int
    sha256: str
    signed: bool


def move(
    folder: Path,
    who: str | None,
    act: Callable[[str], Scope],
    tell: Callable[[str], None],
) -> Moved:
    """Move the installation in `folder` here. `who` is a site administrator of it, by default the first.

    `act` gives that person's scope once they are here; `tell` hears what is being done. Raises `MoveFailed`
    and `Forbidden`; then nothing was changed but that some originals may lie in the data folder already.
    """
    try:
        _require_site()
        with still(folder) as unchanged, copy_of(folder):
            require_same_schema()
            return _move(folder, actor(who), act, tell, unchanged)
    except OSError as error:
        raise _failed(error) from error
    except DatabaseError as error:
        raise MoveFailed(
            _(
                "A database refused or broke off (%(kind)s). Nothing was changed: see its log, "
                "then start again."
            )
            % {"kind": type(error).__name__}
        ) from error


def _move(
    folder: Path,
    who: str,
    act: Callable[[str], Scope],
    tell: Callable[[str], None],
    unchanged: Callable[[], None],
) -> Moved:
    tell(_("Reading the old installation..."))
    with _readable():
        whose = tables.tenants(OLD)
        _require_empty(whose)
        contents = _survey(whose)
    _bring_codes(folder)
    needed = originals.needed()
    tell(_("Copying originals, each compared with its hash..."))
    copied = originals.bring(folder, needed)
    tell(_("Copying the database, and reading it again at the site..."))
    with transaction.atomic():
        _hold_site()
        _require_empty(whose)
        _copy_rows(whose)
        _compare(contents, whose)
        end_all_leases()
        scope = act(who)
        reindexing = enqueue_everything()
        build_anew()
        size, digest = sum(one.size for one in needed), _digest(contents)
        details = {"rows": sum(content.rows for content in contents), "blobs": len(needed)}
        record(scope, actions.MOVED_TO_SITE, details={**details, "bytes": size, "sha256": digest})
        unchanged()
    unfinished = Upload.objects.using(OLD).filter(document=None).count()
    signed = (folder / "site.pub").exists()
    return Moved(contents, len(needed), size, copied, reindexing, unfinished, digest, signed)


def _bring_codes(folder: Path) -> None:
    """The key by which codes beside the old events are checked."""
    path = folder / macs.FILE
    try:
        if path.exists():
            macs.adopt(path.read_text())
    except MacKeyUnusable as error:
        raise MoveFailed(str(error)) from error


def _require_site() -> None:
    """A server's database, as the role that owns its tables, as this version needs it."""
    if connection.vendor != "postgresql":
        raise MoveFailed(
            _("There is no site here to move to: run this where MUNIMENT_DATABASE_URL names its database.")
        )
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tableowner = current_user FROM pg_tables"
                " WHERE schemaname = 'public' AND tablename = 'tenancy_tenant'"
            )
            found = cursor.fetchone()
    except OperationalError as error:
        raise MoveFailed(
            _("The site's database does not answer or refuses this role: start it, then start again.")
        ) from error
    if found == (False,):
        raise MoveFailed(
            _(
                "Only the role that owns the tables moves an installation: name muniment_owner in "
                "MUNIMENT_DATABASE_URL, as the service `move` of the site does."
            )
        )
    loader = MigrationLoader(connection)
    if found is None or set(loader.applied_migrations) != set(loader.disk_migrations):
        raise MoveFailed(
            _("The site's database is not as this version needs it: run `manage.py migrate` there first.")
        )


def _require_empty(whose: list[UUID]) -> None:
    for model in tables.moving():
        if next(tables.batches(DEFAULT_DB_ALIAS, model, whose), None):
            raise MoveFailed(
                _(
                    "The site is in use already: an installation moves only to an empty one, and the two are "
                    "never mixed. Give the site a new database, then start again."
                )
            )


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise MoveFailed(
            _(
                "The old database holds values that cannot be read: put its last backup in place with "
                "`manage.py restore`, then move."
            )
        ) from error


def _survey(whose: list[UUID]) -> list[Content]:
    """What every table of the old installation holds. Raises `MoveFailed` for what would not go."""
    contents: list[Content] = []
    strange: list[Unfit] = []
    for model in tables.moving():
        contents.append(tables.content(OLD, model, whose))
        if contents[-1].rows != tables.everything(OLD, model).count():
            raise ValueError(f"rows of {contents[-1].table} belong to nobody")
        strange += islice(tables.unfit(OLD, model, whose), SHOWN)
    if strange:
        raise MoveFailed(
            _(
                "PostgreSQL refuses what stands in %(places)s: text with a NUL character, or too long. "
                "Delete or rename these in the old installation, then start again."
            )
            % {"places": "; ".join(_place(found) for found in strange[:SHOWN])}
        )
    return contents


def _place(found: Unfit) -> str:
    """Ids, no names: who moves an installation may not see every document."""
    row = found.row
    version = getattr(row, "version_id", None) or (row.pk if isinstance(row, Version) else None)
    document = row.pk if isinstance(row, Document) else getattr(row, "document_id", None)
    if document is None and version is not None:
        document = Version.objects.using(OLD).get(pk=version).document_id
    if document is not None:
        return _("document %(id)s (%(field)s)") % {"id": document, "field": found.field}
    return f"{tables.table(type(row))} {row.pk} ({found.field})"


def _hold_site() -> None:
    """Until the transaction ends nobody else makes a tenant here: neither `first-run` nor another move."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute("LOCK TABLE tenancy_tenant IN EXCLUSIVE MODE")
        cursor.execute("SET LOCAL lock_timeout = 0")


def _copy_rows(whose: list[UUID]) -> None:
    with connection.cursor() as cursor:
        for model in tables.moving():
            for rows in tables.batches(OLD, model, whose):
                # Raw: every value as it is, also those that saving would set to now.
                query = InsertQuery(model)
                query.insert_values(tables.columns(model), rows, raw=True)
                query.get_compiler(using=DEFAULT_DB_ALIAS).execute_sql()
            key = model._meta.pk
            last = (
                tables.everything(OLD, model).aggregate(last=Max("pk"))["last"]
                if isinstance(key, AutoField)
                else None
            )
            if last:
                cursor.execute(
                    "SELECT setval(pg_get_serial_sequence(%s, %s), %s)",
                    [tables.table(model), key.column, last],
                )
        # What refers to each other is looked at now, not at the end, which must not fail any more.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _compare(contents: list[Content], whose: list[UUID]) -> None:
    here = [tables.content(DEFAULT_DB_ALIAS, model, whose) for model in tables.moving()]
    if wrong := [old.table for old, new in zip(contents, here, strict=True) if old != new]:
        raise MoveFailed(
            _(
                "What arrived is not what was sent, in %(tables)s. Nothing was changed: tell whoever "
                "looks after this version of Muniment."
            )
            % {"tables": ", ".join(wrong)}
        )


def _digest(contents: list[Content]) -> str:
    lines = sorted(f"{content.table} {content.rows} {content.sha256}\n" for content in contents)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _failed(error: OSError) -> MoveFailed:
    if error.errno in FULL:
        return MoveFailed(
            _("There is not enough room in the site's data folder: make room, then start again.")
        )
    return MoveFailed(
        _(
            "The old folder cannot be read, or the site's data folder not be written (%(why)s): give both to "
            "the account that runs this."
        )
        % {"why": error.strerror}
    )
