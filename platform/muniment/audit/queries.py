"""Reading the trail."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone

from muniment.audit import actions as catalogue
from muniment.audit.actions import CATALOGUE
from muniment.audit.keys import PublicKey
from muniment.audit.models import (
    AuditCheckpoint,
    AuditEvent,
    AuditKey,
    AuditLeaf,
    AuditPending,
    AuditPrivate,
    AuditSubject,
)
from muniment.audit.services import SITE
from muniment.scope import Scope
from muniment.wall import within

# Sealing takes a second.
LATE = timedelta(seconds=30)
_KEPT = ("audit_event", "audit_leaf", "audit_checkpoint", "audit_key", "audit_pending")
_REFUSED = {"sqlite": ("update", "delete", "replace"), "postgresql": ("update", "delete", "truncate")}
# The triggers that migrations make, by name with their tables, and where each database lists those that are
# active.
GUARDS = {
    vendor: {f"{table}_no_{what}": table for table in _KEPT for what in refused}
    | {"audit_event_queue": "audit_event"}
    for vendor, refused in _REFUSED.items()
}
TRIGGERS = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": "SELECT tgname FROM pg_trigger WHERE tgenabled = 'A' AND NOT tgisinternal",
}


@dataclass(frozen=True)
class TrailFilter:
    """What an officer looks for; empty values do not narrow."""

    since: datetime | None = None
    until: datetime | None = None
    action: str = ""
    outcome: str = ""
    person: UUID | None = None
    thing: str = ""

    def names(self) -> list[str]:
        """Which of the fields narrow."""
        return [field.name for field in fields(self) if getattr(self, field.name)]


def trail(scope: Scope, where: TrailFilter) -> QuerySet[AuditEvent]:
    """The tenant's events, newest first."""
    events = AuditEvent.objects.filter(tenant=scope.tenant).order_by("-occurred_at", "-event_id")
    if where.since:
        events = events.filter(occurred_at__gte=where.since)
    if where.until:
        events = events.filter(occurred_at__lt=where.until)
    if where.action:
        events = events.filter(action=where.action)
    if where.outcome:
        events = events.filter(outcome=where.outcome)
    if where.person:
        refs = AuditSubject.objects.filter(tenant=scope.tenant, person=where.person).values("ref")
        events = events.filter(Q(actor_ref__in=refs) | Q(object_type="person", object_ref__in=refs))
    if where.thing:
        events = events.filter(_about(scope, where.thing))
    return events


def _about(scope: Scope, thing: str) -> Q:
    """Events about a thing, given by its reference or by a part of its name."""
    named = AuditPrivate.objects.filter(
        tenant=scope.tenant, field__in=("name", "username", "title"), value__icontains=thing
    )
    return Q(object_ref=thing) | Q(event_id__in=named.values("event_id"))


def events_before(events: QuerySet[AuditEvent], last: AuditEvent) -> QuerySet[AuditEvent]:
    """The events that come after `last` in a list that shows the newest first."""
    older = Q(occurred_at=last.occurred_at, event_id__lt=last.event_id)
    return events.filter(Q(occurred_at__lt=last.occurred_at) | older)


def event(scope: Scope, event_id: UUID) -> AuditEvent | None:
    return AuditEvent.objects.filter(tenant=scope.tenant, pk=event_id).first()


def guards_missing() -> list[str]:
    """Names of the triggers that keep the trail append-only and are not active in the database now."""
    with connection.cursor() as cursor:
        cursor.execute(TRIGGERS[connection.vendor])
        there = {row[0] for row in cursor.fetchall()}
    return [name for name in GUARDS[connection.vendor] if name not in there]


@dataclass(frozen=True)
class SealState:
    """How far a tenant's log is sealed. `late` says that an event waits far longer than sealing takes."""

    sealed: int
    at: datetime | None
    waiting: int
    late: bool
    fingerprint: str


def seal_state(scope: Scope) -> SealState:
    last = newest_checkpoint(scope)
    queue = AuditPending.objects.filter(tenant=scope.tenant).order_by("id")
    oldest = queue.values_list("event", flat=True).first()
    late = timezone.now() - LATE
    key = AuditKey.objects.order_by("-made_at").values_list("key", flat=True).first()
    return SealState(
        last.size if last else 0,
        last.made_at if last else None,
        queue.count(),
        # One that is gone was removed before its seal.
        oldest is not None and not trail(scope, TrailFilter(since=late)).filter(pk=oldest).exists(),
        PublicKey.parse(key).fingerprint if key else "",
    )


def calls_blocked() -> dict[str, Any]:
    """How many calls to the outside were blocked, ever: in so many events, the last of them when."""
    with within(SITE):
        rows = _blocked()
        last = rows.first()
        return {
            "events": rows.count(),
            "attempts": sum(body_of(row)["details"]["times"] for row in rows.iterator()),
            "last": last.occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ") if last else None,
        }


def _blocked() -> QuerySet[AuditEvent]:
    return AuditEvent.objects.filter(tenant=SITE, action=catalogue.EGRESS_BLOCKED).order_by("-occurred_at")


@dataclass(frozen=True)
class BlockedCall:
    """`host` is a personal value of the event; `kind` the call of Python's that was refused."""

    at: datetime
    process: str
    kind: str
    host: str
    port: int
    times: int


def newest_blocked(number: int) -> list[BlockedCall]:
    with within(SITE):
        rows = list(_blocked()[:number])
        hosts = dict(
            AuditPrivate.objects.filter(
                tenant=SITE, field="host", event_id__in=[row.event_id for row in rows]
            ).values_list("event_id", "value")
        )
    found = [(row, body_of(row)["details"]) for row in rows]
    return [
        BlockedCall(
            row.occurred_at,
            told["process"],
            told["kind"],
            hosts.get(row.event_id, ""),
            told["port"],
            told["times"],
        )
        for row, told in found
    ]


def private_values(scope: Scope, events: Iterable[AuditEvent]) -> dict[UUID, dict[str, str]]:
    """The personal values beside some events, by event and field."""
    values: dict[UUID, dict[str, str]] = {}
    rows = AuditPrivate.objects.filter(tenant=scope.tenant, event_id__in=[event.event_id for event in events])
    for row in rows:
        values.setdefault(row.event_id, {})[row.field] = row.value
    return values


def people_behind(scope: Scope, events: Iterable[AuditEvent]) -> dict[str, UUID]:
    """The person behind each pseudonym that some events carry, of who acted and of whom they are about."""
    refs = {ref for event in events for ref in (event.actor_ref, _person_ref(event)) if ref}
    rows = AuditSubject.objects.filter(tenant=scope.tenant, ref__in=refs)
    return {row.ref: row.person for row in rows}


def names_of_things(scope: Scope, events: Iterable[AuditEvent]) -> dict[str, str]:
    """What documents and questions that some events are about were called when they came, by reference."""
    refs = {event.object_ref for event in events if event.object_type in {"document", "turn"}}
    firsts = dict(
        AuditEvent.objects.filter(
            tenant=scope.tenant,
            object_ref__in=refs,
            action__in=(catalogue.DOCUMENT_UPLOADED, catalogue.QUESTION_ASKED),
        ).values_list("event_id", "object_ref")
    )
    rows = AuditPrivate.objects.filter(
        tenant=scope.tenant, event_id__in=list(firsts), field__in=("name", "question")
    )
    return {firsts[row.event_id]: row.value for row in rows}


def _person_ref(event: AuditEvent) -> str:
    return event.object_ref if event.object_type == "person" else ""


def body_of(event: AuditEvent) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(bytes(event.body))
    return parsed


def events_in_turn(events: QuerySet[AuditEvent], page: int) -> Iterator[list[AuditEvent]]:
    """All events of a list that shows the newest first, a page at a time, so that few are in memory."""
    found = list(events[:page])
    while found:
        yield found
        found = list(events_before(events, found[-1])[:page]) if len(found) == page else []


def models_of_answers(scope: Scope, events: Iterable[AuditEvent]) -> dict[str, str]:
    """What the models of answers were called when those began, by the turn's reference."""
    turns = {event.object_ref for event in events if event.action == catalogue.ANSWER_FINISHED}
    begun = AuditEvent.objects.filter(
        tenant=scope.tenant, action=catalogue.ANSWER_STARTED, object_ref__in=turns
    )
    return {row.object_ref: str(body_of(row)["details"]["model"]) for row in begun}


def sealed_among(scope: Scope, events: Iterable[AuditEvent]) -> set[UUID]:
    """Which of some events have their leaf in the log."""
    ids = [event.event_id for event in events]
    return set(AuditLeaf.objects.filter(tenant=scope.tenant, event__in=ids).values_list("event", flat=True))


def newest_checkpoint(scope: Scope) -> AuditCheckpoint | None:
    return AuditCheckpoint.objects.filter(tenant=scope.tenant).order_by("-size").first()


def checkpoint_of(scope: Scope, size: int) -> AuditCheckpoint | None:
    return AuditCheckpoint.objects.filter(tenant=scope.tenant, size=size).first()


def actions() -> list[tuple[str, str]]:
    """Names of actions and what they mean, for a filter."""
    return sorted((name, str(action.verb)) for name, action in CATALOGUE.items())
