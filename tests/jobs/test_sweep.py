"""The sweeper rings for what is due, so that a lost message loses no work."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind
from muniment.scope import Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    heard: list[UUID] = []
    monkeypatch.setattr(jobs, "ring", lambda job: heard.append(job.id) or True)
    monkeypatch.setattr(jobs, "unheard", lambda queue: 0)
    return heard


@pytest.fixture
def job() -> Job:
    job = jobs.create(Scope(tenant=uuid4()), Kind.INGEST, uuid4())
    Job.objects.filter(pk=job.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    return job


def test_a_waiting_job_is_rung(rung: list[UUID], job: Job) -> None:
    assert jobs.sweep() == 1
    assert rung == [job.id]


def test_it_is_not_rung_again_at_once(rung: list[UUID], job: Job) -> None:
    jobs.sweep()
    assert jobs.sweep() == 0


def test_a_fresh_job_is_left_to_its_own_ring(rung: list[UUID]) -> None:
    jobs.create(Scope(tenant=uuid4()), Kind.INGEST, uuid4())
    assert jobs.sweep() == 0


def test_a_running_job_is_left_alone_until_its_lease_ends(rung: list[UUID], job: Job) -> None:
    jobs.take(job.id, job.tenant, "one")
    assert jobs.sweep() == 0
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert jobs.sweep() == 1


def test_a_job_that_waits_for_its_time_is_left_alone(rung: list[UUID], job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(next_at=timezone.now() + timedelta(seconds=30))
    assert jobs.sweep() == 0


def test_a_queue_with_many_unheard_rings_gets_no_more(
    rung: list[UUID], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "unheard", lambda queue: jobs.MOST_UNHEARD)
    assert jobs.sweep() == 0
    monkeypatch.setattr(jobs, "unheard", lambda queue: jobs.MOST_UNHEARD - 1)
    assert jobs.sweep() == 1


def test_a_full_queue_does_not_keep_the_others_from_ringing(
    rung: list[UUID], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = jobs.create(Scope(tenant=uuid4()), Kind.ANSWER, uuid4())
    Job.objects.filter(pk=asked.pk).update(created_at=timezone.now() - timedelta(minutes=1))
    monkeypatch.setattr(jobs, "unheard", lambda queue: jobs.MOST_UNHEARD if queue == "ingest" else 0)
    assert jobs.sweep() == 1
    assert rung == [asked.id]
