"""Verifying the trail in the database, and taking it out. Each of these is an event itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from muniment.audit import actions, bundles, macs, verifier
from muniment.audit.actions import Outcome, Stage
from muniment.audit.bundles import NothingSealed, Trail, Written
from muniment.audit.errors import AuditUnavailable
from muniment.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditPending
from muniment.audit.queries import body_of, guards_missing
from muniment.audit.sealing import SITE_LOG
from muniment.audit.services import SITE, Thing, record_alone
from muniment.audit.verifier import NotWholeError
from muniment.scope import Origin, Scope
from muniment.tenancy.models import Tenant
from muniment.wall import within

PAGE = 1000


@dataclass(frozen=True)
class Verified:
    """`faults` are sentences, none where the trail is whole; `waiting` events are not sealed yet."""

    events: int
    waiting: int
    fingerprint: str
    faults: list[str]


def verify(origin: Origin) -> Verified:
    """Look at every event, leaf and checkpoint; tells also where the trail cannot be written."""
    trail = Trail.now()
    faults = [f"The guard {name} is missing in the database." for name in guards_missing()]
    found = verifier.Found()
    try:
        found = verifier.check(trail.read)
    except NotWholeError as problem:
        faults.append(f"{str(problem)[:1].upper()}{str(problem)[1:]}.")
    waiting = 0
    for tenant in _tenants(trail):
        with within(tenant):
            faults += _faults_of_rows(tenant)
            waiting += AuditPending.objects.filter(tenant=tenant).count()
    key = found.key.fingerprint if found.key else ""
    with suppress(AuditUnavailable):
        record_alone(
            Scope(tenant=SITE, origin=origin),
            actions.TRAIL_VERIFIED,
            outcome=Outcome.FAILED if faults else Outcome.DONE,
            details={"events": found.events, "faults": len(faults)},
        )
    return Verified(found.events, waiting, key, faults)


def _tenants(trail: Trail) -> list[UUID]:
    queued = AuditPending.objects.order_by().values_list("tenant", flat=True).distinct()
    return sorted({SITE, *trail.tenants, *queued, *Tenant.objects.values_list("id", flat=True)})


def _faults_of_rows(tenant: UUID) -> Iterator[str]:
    """What a bundle does not hold: codes, the columns that are searched, the queue."""
    last, coded = None, _first_coded(tenant)
    rows = AuditEvent.objects.filter(tenant=tenant).order_by("pk")
    while page := list((rows.filter(pk__gt=last) if last else rows)[:PAGE]):
        last = page[-1].pk
        ids = [event.event_id for event in page]
        numbers = dict(AuditLeaf.objects.filter(event__in=ids).values_list("event", "number"))
        waiting = set(AuditPending.objects.filter(event__in=ids).values_list("event", flat=True))
        for event in page:
            number = numbers.get(event.event_id)
            if number is None and event.event_id not in waiting:
                yield f"The event {event.event_id} has no leaf and does not wait for one."
            # Events from before there were codes are the first of the log.
            yield from _faults_of(event, coded is not None and (number is None or number >= coded))
    queue = AuditPending.objects.filter(tenant=tenant)
    gone = queue.exclude(event__in=AuditEvent.objects.filter(tenant=tenant).values("event_id"))
    for place in gone.order_by("id"):
        yield f"The event {place.event} was removed before it was sealed."


def _first_coded(tenant: UUID) -> int | None:
    """The number of the first leaf whose event has a code."""
    coded = AuditEvent.objects.filter(tenant=tenant, row_mac__isnull=False)
    leaves = AuditLeaf.objects.filter(tenant=tenant, event__in=coded.values("event_id")).order_by("number")
    return leaves.values_list("number", flat=True).first()


def _faults_of(event: AuditEvent, coded: bool) -> Iterator[str]:
    body, code = bytes(event.body), event.row_mac
    if not macs.fits(body, bytes(code)) if code is not None else coded:
        yield f"The event {event.event_id} was not written by this application, or its key is not here."
    try:
        told = body_of(event)
        thing = told["object"] or {"type": "", "ref": ""}
        copies = {
            "event_id": told["event_id"],
            "tenant": told["tenant"],
            "action": told["action"],
            "stage": told["stage"],
            "outcome": told["outcome"],
            "actor_ref": told["actor"]["ref"],
            "object_type": thing["type"],
            "object_ref": thing["ref"],
            "request_id": told["request_id"],
        }
        time = datetime.strptime(told["ts"], "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)
    except (ValueError, KeyError, TypeError):
        yield f"The event {event.event_id} is no event."
        return
    for name, value in copies.items():
        if str(getattr(event, name)) != value:
            yield f"The column {name} of the event {event.event_id} is not what the event says."
    if event.occurred_at != time:
        yield f"The column occurred_at of the event {event.event_id} is not what the event says."


def export(
    origin: Origin, folder: Path, tenant: UUID | None, since: datetime | None, until: datetime | None
) -> Written:
    """Write a bundle. Raises OSError, FileExistsError and AuditUnavailable."""
    scope = Scope(tenant=tenant or SITE, origin=origin)
    record_alone(scope, actions.TRAIL_EXPORTED, stage=Stage.INTENT, outcome=Outcome.PENDING)
    trail = Trail.now([tenant] if tenant else None, since, until)
    try:
        made = bundles.write(trail, folder)
    except OSError:
        record_alone(scope, actions.TRAIL_EXPORTED, outcome=Outcome.FAILED)
        raise
    details = {"events": made.events, "sha256": made.sha256, "size": trail.size}
    record_alone(scope, actions.TRAIL_EXPORTED, details=details)
    return made


def prove(origin: Origin, event: UUID, path: Path) -> None:
    """Raises NothingSealed where nobody has such an event, or it is not sealed yet."""
    for tenant in _sealed_tenants():
        with within(tenant):
            if not AuditLeaf.objects.filter(tenant=tenant, event=event).exists():
                continue
        text = bundles.proof(tenant, event)
        record_alone(Scope(tenant=tenant, origin=origin), actions.EVENT_PROVED, Thing("event", event))
        path.write_text(text)
        return
    raise NothingSealed("There is no such event here, or it is not sealed yet.")


def _sealed_tenants() -> list[UUID]:
    everybody = AuditCheckpoint.objects.exclude(tenant=SITE_LOG).order_by()
    return list(everybody.values_list("tenant", flat=True).distinct())
