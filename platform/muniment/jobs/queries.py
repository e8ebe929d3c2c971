"""What is read of jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Min, Q
from django.utils import timezone

from muniment.jobs.models import OPEN_STATES, Job, Kind, State
from muniment.scope import Scope

# A job that is due is taken at once while workers are free; sweeps ring again every few seconds.
STUCK_SECONDS = 600


def places_in_queue(scope: Scope, kind: Kind, subjects: Iterable[UUID]) -> dict[UUID, int]:
    """How many jobs of the kind are before each waiting subject, of all tenants: 0 is next."""
    wanted = set(subjects)
    if not wanted:
        return {}
    waiting = Job.objects.filter(kind=kind, state=State.READY).order_by("created_at", "id")
    mine = set(
        Job.objects.filter(tenant=scope.tenant, kind=kind, subject__in=wanted).values_list(
            "subject", flat=True
        )
    )
    ordered = waiting.values_list("subject", flat=True)
    return {subject: place for place, subject in enumerate(ordered) if subject in mine}


def open_count(kind: Kind) -> int:
    return Job.objects.filter(kind=kind, state__in=OPEN_STATES).count()


@dataclass(frozen=True)
class Queue:
    """The open jobs of a kind, of all tenants. `oldest` is since when the first one waits.

    `late` were due `STUCK_SECONDS` ago, which is no fault while others are in work. `silent` are in work by
    somebody who has not been heard of since then.
    """

    kind: str
    waiting: int
    running: int
    late: int
    silent: int
    oldest: datetime | None

    @property
    def stuck(self) -> bool:
        """Work is due, and nobody does it."""
        return bool(self.silent or (self.late and self.running == 0))


def queues() -> list[Queue]:
    """For the site's administrator: numbers only, no tenant's data."""
    late = timezone.now() - timedelta(seconds=STUCK_SECONDS)
    waiting, running = Q(state=State.READY), Q(state=State.RUNNING)
    rows = (
        Job.objects.filter(state__in=OPEN_STATES)
        .values("kind")
        .order_by("kind")
        .annotate(
            waiting=Count("id", filter=waiting),
            running=Count("id", filter=running),
            late=Count("id", filter=waiting & Q(next_at__lt=late)),
            silent=Count("id", filter=running & Q(lease_until__lt=late)),
            oldest=Min("created_at", filter=waiting),
        )
    )
    return [Queue(**row) for row in rows]


def is_held(scope: Scope, kind: Kind, subject: UUID) -> bool:
    """Whether somebody alive works on it now."""
    running = Job.objects.filter(tenant=scope.tenant, kind=kind, subject=subject, state=State.RUNNING)
    return running.filter(lease_until__gt=timezone.now()).exists()
