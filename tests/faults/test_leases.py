"""Whose lease ends early, and which tries count."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone

from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind, State
from muniment.scope import Scope
from workers import leases
from workers.engines import IndexUnavailable
from workers.leases import Lease, free_the_dead, work

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job() -> Job:
    return jobs.create(Scope(tenant=uuid4()), Kind.INGEST, uuid4())


def hold(job: Job, owner: str) -> None:
    assert jobs.take(job.id, job.tenant, owner)


def is_free(job: Job) -> bool:
    return jobs.take(job.id, job.tenant, "next") is not None


def owner(pid: int) -> str:
    return f"{leases._machine()}{pid}:1234"


def test_a_dead_process_holds_nothing(job: Job) -> None:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    hold(job, owner(ended.pid))
    assert free_the_dead() == 1
    assert is_free(job)


def test_a_process_that_nobody_has_buried_holds_nothing_either(job: Job) -> None:
    zombie = subprocess.Popen([sys.executable, "-S", "-c", ""], stdout=subprocess.PIPE)
    assert zombie.stdout and zombie.stdout.read() == b""  # it has closed everything, and is not waited for
    hold(job, owner(zombie.pid))
    while not free_the_dead():
        pass
    assert is_free(job)
    zombie.wait()


def test_a_living_process_keeps_what_it_holds(job: Job) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as living:
        hold(job, owner(living.pid))
        assert free_the_dead() == 0
        assert not is_free(job)
        living.kill()


def test_nobody_judges_another_machine(job: Job) -> None:
    hold(job, "another-machine:1:1234")
    assert free_the_dead() == 0
    assert not is_free(job)


def test_the_next_ring_takes_over_from_the_dead_at_once(job: Job) -> None:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    hold(job, owner(ended.pid))
    work(str(job.id), str(job.tenant), lambda lease: None)
    job.refresh_from_db()
    assert (job.state, job.attempt) == (State.DONE, 2)


def unavailable(lease: Lease) -> None:
    raise IndexUnavailable("The passage index does not answer.")


@pytest.mark.parametrize(("patient", "attempts"), [(True, 0), (False, 7)])
def test_waiting_for_a_part_counts_only_where_somebody_waits_too(
    job: Job, patient: bool, attempts: int
) -> None:
    for _try in range(7):
        work(str(job.id), str(job.tenant), unavailable, patient)
        job.refresh_from_db()
        assert (job.state, job.error) == (State.READY, "IndexUnavailable")
        Job.objects.filter(pk=job.pk).update(next_at=timezone.now() - timedelta(seconds=1))
    assert job.attempt == attempts


@pytest.mark.parametrize("ends_well", [True, False])
def test_how_a_job_stands_is_said_once_the_database_is_back(
    job: Job, ends_well: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is restarted meanwhile costs no try, and nobody waits until the lease ends."""
    away = iter([True, True])

    def broken(say: Callable[..., bool]) -> Callable[..., bool]:
        def call(*args: object, **kwargs: object) -> bool:
            if next(away, False):
                raise OperationalError("the server closed the connection")
            return say(*args, **kwargs)

        return call

    for name in ("give_back", "finish"):
        monkeypatch.setattr(jobs, name, broken(getattr(jobs, name)))
    monkeypatch.setattr(leases.time, "sleep", lambda seconds: None)

    def do(lease: Lease) -> None:
        if not ends_well:
            raise OperationalError("the server closed the connection")

    work(str(job.id), str(job.tenant), do, patient=True)
    job.refresh_from_db()
    assert (job.state, job.attempt) == ((State.DONE, 1) if ends_well else (State.READY, 0))
    assert job.lease_until is None
