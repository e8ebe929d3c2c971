"""Leases: who takes a job holds it for a while, renews it while working, and gives it back or ends it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from muniment.jobs.doorbell import kinds_by_queue, ring, unheard
from muniment.jobs.models import OPEN_STATES, Job, Kind, State
from muniment.scope import Scope

# Rings that may lie in a queue unheard before the sweeper adds none.
MOST_UNHEARD = 100


def create(scope: Scope, kind: Kind, subject: UUID) -> Job:
    """Write a job in the open transaction, ring when it commits. An open job of the same subject is kept."""
    job, made = Job.objects.get_or_create(
        kind=kind,
        subject=subject,
        state__in=OPEN_STATES,
        defaults={
            "tenant": scope.tenant,
            "person": scope.person,
            "state": State.READY,
            "next_at": timezone.now(),
            "request_id": scope.origin.request_id,
        },
    )
    if made:
        transaction.on_commit(partial(ring, job))
    return job


def create_many(scope: Scope, kind: Kind, subjects: Iterable[UUID]) -> int:
    """Write a job for each subject that has no open one, and give how many. The sweeper rings for them."""
    now = timezone.now()
    subjects = set(subjects)
    busy = set(Job.objects.filter(kind=kind, state__in=OPEN_STATES).values_list("subject", flat=True))
    fresh = [
        Job(
            tenant=scope.tenant,
            person=scope.person,
            kind=kind,
            subject=subject,
            next_at=now,
            request_id=scope.origin.request_id,
        )
        for subject in subjects - busy
    ]
    # Another process may write the same job between the two statements; the constraint keeps one.
    Job.objects.bulk_create(fresh, batch_size=500, ignore_conflicts=True)
    return len(fresh)


def take(job: UUID, tenant: UUID, owner: str) -> Job | None:
    """Take the lease, or None where the job is done, not due, or held by somebody alive."""
    now = timezone.now()
    due = Q(state=State.READY, next_at__lte=now) | Q(state=State.RUNNING, lease_until__lt=now)
    taken = Job.objects.filter(due, pk=job, tenant=tenant).update(
        state=State.RUNNING, lease_owner=owner, lease_until=_lease_end(), attempt=F("attempt") + 1
    )
    return Job.objects.get(pk=job) if taken else None


def renew(job: Job) -> bool:
    """Hold on to a job. False where somebody else has it, or it was cancelled: stop working."""
    return bool(_held(job).update(lease_until=_lease_end()))


def finish(job: Job) -> bool:
    return bool(_held(job).update(state=State.DONE, finished_at=timezone.now(), lease_until=None))


def fail(job: Job, error: str) -> bool:
    """`error` is a code, not a sentence."""
    return bool(
        _held(job).update(state=State.FAILED, error=error, finished_at=timezone.now(), lease_until=None)
    )


def give_back(job: Job, seconds: float, error: str = "", counts: bool = True) -> bool:
    """Try again in a while. Where it `counts` not, this try is not one of those after which work gives up."""
    next_at = timezone.now() + timedelta(seconds=seconds)
    fields = {} if counts else {"attempt": F("attempt") - 1}
    return bool(
        _held(job).update(
            state=State.READY, next_at=next_at, error=error, lease_owner="", lease_until=None, **fields
        )
    )


def holders(prefix: str) -> set[str]:
    """Who holds a lease now, of the owners whose names begin so."""
    running = Job.objects.filter(state=State.RUNNING, lease_owner__startswith=prefix)
    return set(running.values_list("lease_owner", flat=True))


def end_leases(owners: Iterable[str]) -> int:
    """For holders that are known to be dead: the next sweep rings for what they had."""
    held = Job.objects.filter(state=State.RUNNING, lease_owner__in=list(owners))
    return held.update(lease_until=timezone.now())


def end_all_leases() -> int:
    """Where every holder is known to be gone, as after a move to other machines; gives how many held one."""
    held = Job.objects.filter(state=State.RUNNING)
    return held.update(state=State.READY, lease_owner="", lease_until=None)


def cancel(scope: Scope, kind: Kind, subject: UUID) -> bool:
    """End an open job; who works on it notices when renewing the lease."""
    open_jobs = Job.objects.filter(tenant=scope.tenant, kind=kind, subject=subject, state__in=OPEN_STATES)
    return bool(open_jobs.update(state=State.CANCELLED, finished_at=timezone.now(), lease_until=None))


def forget_failed(kind: Kind) -> int:
    """Before work of a kind is tried again from the start; gives how many had failed."""
    return Job.objects.filter(kind=kind, state=State.FAILED).delete()[0]


def sweep() -> int:
    """Ring for jobs that are due and were not rung lately; gives how many.

    A queue gets only as many rings as keep it busy: a long re-indexing does not fill the broker, and a fresh
    upload does not wait behind all of it.
    """
    now = timezone.now()
    # Half of it: the next sweep comes some milliseconds early or late.
    quiet = Q(rung_at=None) | Q(rung_at__lt=now - timedelta(seconds=settings.SWEEP_SECONDS / 2))
    fresh = Q(rung_at=None, created_at__gt=now - timedelta(seconds=settings.SWEEP_SECONDS))
    due = Q(state=State.READY, next_at__lte=now) | Q(state=State.RUNNING, lease_until__lt=now)
    waiting = Job.objects.filter(due & quiet).exclude(fresh).order_by("created_at")
    rung: list[UUID] = []
    for queue, kinds in kinds_by_queue().items():
        room = max(0, MOST_UNHEARD - unheard(queue))
        rung += [job.pk for job in waiting.filter(kind__in=kinds)[:room] if ring(job)]
    Job.objects.filter(pk__in=rung).update(rung_at=now)
    return len(rung)


def _held(job: Job) -> QuerySet[Job]:
    return Job.objects.filter(pk=job.pk, state=State.RUNNING, lease_owner=job.lease_owner)


def _lease_end() -> datetime:
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)
