"""Checks of what must not be lost: the database, the trail in it, the originals, the open work."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta

from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from muniment.audit.actions import BACKUP_MADE, Outcome
from muniment.audit.models import AuditEvent
from muniment.audit.queries import guards_missing
from muniment.documents.blobs import is_whole
from muniment.documents.models import Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.queries import Queue, queues
from muniment.registry.queries import last_report
from muniment.tenancy.queries import each_tenant
from muniment.wall import fault_of_role
from workers import preflight
from workers.upkeep.difference import REPORT, SENTENCES, What
from workers.upkeep.finding import Finding, bad, ok, warn

SAMPLE = 20
SAMPLE_BYTES = 200_000_000
BACKUP_AGE = timedelta(days=7)


def has_tables() -> bool:
    """Whether there is a database to look into. Raises `DatabaseError` where it is damaged."""
    return "django_migrations" in connection.introspection.table_names()


def database() -> Iterator[Finding]:
    try:
        if not has_tables():
            yield warn("database", _("There is no database yet: `make up` makes it."))
        elif connection.vendor == "sqlite":
            yield _file()
        else:
            yield _server()
    except DatabaseError as error:
        is_file = connection.vendor == "sqlite"
        yield bad("database", _damaged() if is_file else preflight.database_fault(error))


def _file() -> Finding:
    with connection.cursor() as cursor:
        found = cursor.execute("PRAGMA quick_check(1)").fetchone()[0]
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if found != "ok":
        return bad("database", _damaged())
    if mode != "wal":
        return bad(
            "database",
            _("It cannot write ahead (its mode is %(mode)s): put the data folder on a local disk.")
            % {"mode": mode},
        )
    return ok("database", _("Its pages are whole and it writes ahead (WAL)."))


def _server() -> Finding:
    if fault := fault_of_role():
        return bad("database", fault)
    if fault := preflight.connections_fault():
        return warn("database", fault)
    return ok("database", _("It answers."))


def _damaged() -> str:
    return _(
        "The database is damaged. Stop Muniment, keep a copy of the data folder, and put the last backup "
        "in place with `manage.py restore FILE --force`."
    )


def migrations() -> Iterator[Finding]:
    if fault := preflight.schema_fault():
        yield bad("migrations", fault)
    else:
        yield ok("migrations", _("The database is as this version needs it."))


def trail() -> Iterator[Finding]:
    if guards_missing():
        yield bad(
            "audit trail",
            _(
                "Triggers that keep events from being changed are missing: somebody took them away. Tell the "
                "compliance officer, keep a copy of the data folder, and restore the last backup."
            ),
        )
    else:
        yield ok("audit trail", _("The database refuses to change or remove events."))


def originals() -> Iterator[Finding]:
    """A sample of the stored files against their hashes."""
    checked = read = 0
    faults = []
    for version in _some_versions():
        if read and read + version.size > SAMPLE_BYTES:
            continue
        checked, read = checked + 1, read + version.size
        if not is_whole(version.tenant, version.sha256):
            faults.append(str(version.id))
    if faults:
        yield bad(
            "originals",
            _(
                "%(faults)s of %(checked)s originals looked at are missing or damaged (versions %(ids)s). "
                "Check the disk, then restore them from a backup, or upload the documents again."
            )
            % {"faults": len(faults), "checked": checked, "ids": ", ".join(faults[:3])},
        )
    else:
        yield ok("originals", _("%(checked)s originals looked at, all as they came.") % {"checked": checked})


def agreement() -> Iterator[Finding]:
    """What the last comparison of database, index and stored files left for a person."""
    last = last_report(REPORT)
    if last is None:
        yield ok("agreement", _("They are compared tonight, or by `manage.py reconcile`."))
        return
    grave = [row for row in last["differences"] if row["left"] or row["what"] == What.FOREIGN_POINTS]
    for row in grave:
        problem, advice = SENTENCES[What(row["what"])]
        words = {"problem": problem, "n": row["left"] or row["found"], "advice": advice}
        yield bad("agreement", _("%(problem)s (%(n)s) %(advice)s `manage.py reconcile` tells which.") % words)
    if not grave:
        yield ok("agreement", _("Database, index and files agreed when they were last compared."))


def _some_versions() -> list[Version]:
    """At random, `SAMPLE` of all tenants."""
    found = [
        version
        for _tenant in each_tenant()
        for version in Version.objects.exclude(state=VersionState.DELETED).order_by("?")[:SAMPLE]
    ]
    return random.sample(found, min(SAMPLE, len(found)))


def backups() -> Iterator[Finding]:
    made = [
        moment
        for _tenant in each_tenant()
        for moment in AuditEvent.objects.filter(action=BACKUP_MADE, outcome=Outcome.DONE.value)
        .order_by("-occurred_at")
        .values_list("occurred_at", flat=True)[:1]
    ]
    advice = _("Make one with `manage.py backup FILE`, and keep it on another machine.")
    if not made:
        if any(Version.objects.exists() for _tenant in each_tenant()):
            yield warn("backup", _("There is none yet.") + " " + advice)
        else:
            yield ok("backup", _("There is nothing to lose yet."))
        return
    ago = _("The last one was made %(time)s ago.") % {"time": timesince(max(made))}
    if timezone.now() - max(made) > BACKUP_AGE:
        yield warn("backup", ago + " " + advice)
    else:
        yield ok("backup", ago)


def work() -> Iterator[Finding]:
    found = queues()
    stuck = [queue for queue in found if queue.stuck]
    for queue in stuck:
        yield bad(
            "work",
            _(
                "%(what)s: %(n)s are due and nobody does them. See whether the workers run; nothing is lost, "
                "they go on by themselves."
            )
            % {"what": Kind(queue.kind).label, "n": queue.silent + queue.late},
        )
    if not stuck:
        yield ok("work", "; ".join(_told(queue) for queue in found) or _("Nothing waits."))


def _told(queue: Queue) -> str:
    words = {"what": Kind(queue.kind).label, "waiting": queue.waiting, "running": queue.running}
    text = _("%(what)s: %(waiting)s waiting, %(running)s in work") % words
    if queue.oldest is None:
        return text
    return text + _(", the oldest since %(time)s") % {"time": timesince(queue.oldest, timezone.now())}
