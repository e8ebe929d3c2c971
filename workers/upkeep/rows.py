"""The database against itself: documents, versions, questions and the work that is ordered for them.

Each check is one statement, which sees one moment; a state and the job that goes with it are written in one
transaction. So what is found is no work on its way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Subquery
from django.db.models.functions import Coalesce

from muniment.conversations.models import OPEN_TURNS, Turn
from muniment.documents import services as documents
from muniment.documents.models import IN_WORK, Document, Page, Passage, Version, VersionState
from muniment.jobs import services as jobs
from muniment.jobs.models import OPEN_STATES, Job, Kind
from muniment.jobs.queries import queues
from muniment.tenancy.services import system_scope
from workers.upkeep.difference import Difference, What
from workers.upkeep.points import PAGE, is_open, order

# What a job of each kind is about. An answer whose question is gone ends by itself.
SUBJECTS = {Kind.INGEST: Version, Kind.REMOVE: Version, Kind.REINDEX: Version, Kind.MOVE: Document}
SUBJECTS[Kind.BUILD] = Version


def look(tenant: UUID) -> Iterator[Difference]:
    """Every difference of one tenant, within whose wall this is called."""
    yield from _unsettled(tenant)
    yield from _without_jobs(tenant)
    yield from _pointless_jobs(tenant)
    yield from _damaged_texts(tenant)


def look_for_stuck_work() -> Iterator[Difference]:
    for queue in queues():
        if queue.stuck:
            yield Difference(What.STUCK_WORK, UUID(int=0), "job", queue.kind, queue.silent + queue.late)


def _unsettled(tenant: UUID) -> Iterator[Difference]:
    versions = Version.objects.filter(tenant=tenant)
    of_deleted = versions.filter(document__deleted_at__isnull=False).exclude(state=VersionState.DELETED)
    not_shown = versions.filter(state=VersionState.PUBLISHED).exclude(document__current=F("pk"))
    wrong = {*of_deleted.values_list("document", flat=True), *not_shown.values_list("document", flat=True)}
    shown = Document.objects.filter(tenant=tenant, current__isnull=False)
    wrong.update(shown.exclude(current__state=VersionState.PUBLISHED).values_list("pk", flat=True))
    for document in wrong:
        mend = partial(documents.settle, system_scope(tenant), document)
        yield Difference(What.UNSETTLED_DOCUMENT, tenant, "document", document, mend=mend)


def _without_jobs(tenant: UUID) -> Iterator[Difference]:
    versions = Version.objects.filter(tenant=tenant)
    has_text = Exists(Passage.objects.filter(version=OuterRef("pk"))) | Exists(
        Page.objects.filter(version=OuterRef("pk"))
    )
    waiting = (
        (Kind.INGEST, "version", versions.filter(state__in=IN_WORK, document__deleted_at=None)),
        (Kind.REMOVE, "version", versions.filter(has_text, state=VersionState.DELETED)),
        (Kind.ANSWER, "turn", Turn.objects.filter(tenant=tenant, state__in=OPEN_TURNS)),
    )
    for kind, type, rows in waiting:
        for subject in rows.exclude(is_open(kind, "pk")).values_list("pk", flat=True):
            yield Difference(What.NO_JOB, tenant, type, subject, mend=partial(order, tenant, kind, subject))


def _pointless_jobs(tenant: UUID) -> Iterator[Difference]:
    for kind, model in SUBJECTS.items():
        there = Exists(model._default_manager.filter(tenant=tenant, pk=OuterRef("subject")))
        lost = Job.objects.filter(~there, tenant=tenant, kind=kind, state__in=OPEN_STATES)
        for job, subject in lost.values_list("pk", "subject"):
            mend = partial(jobs.cancel, system_scope(tenant), kind, subject)
            yield Difference(What.POINTLESS_JOB, tenant, "job", job, mend=mend)


def _damaged_texts(tenant: UUID) -> Iterator[Difference]:
    published = Version.objects.filter(tenant=tenant, state=VersionState.PUBLISHED)
    # One version after the other: a GROUP BY would sort all passages in memory.
    stored = (
        Passage.objects.filter(version=OuterRef("pk"), cut=OuterRef("cut"))
        .order_by()
        .values("version")
        .annotate(n=Count("pk"))
    )
    counted = published.annotate(stored=Coalesce(Subquery(stored.values("n")), 0))
    counted = counted.exclude(stored=F("passage_count"))
    damaged = dict(counted.values_list("pk", "passage_count")) | _changed_texts(tenant)
    for version, count in damaged.items():
        mend = partial(documents.read_again, system_scope(tenant), version)
        yield Difference(What.DAMAGED_TEXT, tenant, "version", version, count, mend)


def _changed_texts(tenant: UUID) -> dict[UUID, int]:
    """Versions with passages whose text is not what its hash says, and how many."""
    changed: dict[UUID, int] = {}
    last = UUID(int=0)
    rows = Passage.objects.filter(tenant=tenant, version__state=VersionState.PUBLISHED).order_by("pk")
    while some := list(rows.filter(pk__gt=last).values_list("pk", "version", "text", "sha256")[:PAGE]):
        for _id, version, text, sha256 in some:
            if hashlib.sha256(text.encode()).hexdigest() != sha256:
                changed[version] = changed.get(version, 0) + 1
        last = some[-1][0]
    return changed
