"""A job is held by one worker at a time, and by somebody else when that one falls silent."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from muniment.jobs import services as jobs
from muniment.jobs.models import MOVES, Job, Kind, State
from muniment.scope import Scope

pytestmark = pytest.mark.django_db


@pytest.fixture
def scope() -> Scope:
    return Scope(tenant=uuid4(), person=uuid4())


@pytest.fixture
def job(scope: Scope) -> Job:
    return jobs.create(scope, Kind.INGEST, uuid4())


def silent_for_too_long(job: Job) -> None:
    Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_job_is_taken_renewed_and_finished(job: Job) -> None:
    held = jobs.take(job.id, job.tenant, "one")
    assert held and held.state == State.RUNNING and held.attempt == 1
    assert jobs.renew(held)
    assert jobs.finish(held)
    assert Job.objects.get(pk=job.pk).state == State.DONE


def test_an_open_job_of_the_same_subject_is_not_doubled(scope: Scope, job: Job) -> None:
    assert jobs.create(scope, Kind.INGEST, job.subject).id == job.id


def test_a_finished_job_makes_room_for_another(scope: Scope, job: Job) -> None:
    held = jobs.take(job.id, job.tenant, "one")
    assert held and jobs.finish(held)
    assert jobs.create(scope, Kind.INGEST, job.subject).id != job.id


def test_a_second_ring_finds_the_job_held(job: Job) -> None:
    assert jobs.take(job.id, job.tenant, "one")
    assert jobs.take(job.id, job.tenant, "two") is None


def test_where_all_holders_are_gone_their_work_is_taken_at_once(scope: Scope, job: Job) -> None:
    old = jobs.take(job.id, job.tenant, "one")
    done = jobs.take(jobs.create(scope, Kind.INGEST, uuid4()).id, job.tenant, "one")
    assert old and done and jobs.finish(done)
    assert jobs.end_all_leases() == 1
    assert jobs.take(job.id, job.tenant, "two")
    assert not jobs.renew(old)


def test_a_message_with_another_tenant_takes_nothing(job: Job) -> None:
    assert jobs.take(job.id, uuid4(), "one") is None


def test_an_expired_lease_goes_to_the_next_and_the_old_holder_notices(job: Job) -> None:
    old = jobs.take(job.id, job.tenant, "one")
    assert old
    silent_for_too_long(job)
    new = jobs.take(job.id, job.tenant, "two")
    assert new and new.attempt == 2
    assert not jobs.renew(old)
    assert not jobs.finish(old)
    assert not jobs.fail(old, "late")
    assert jobs.finish(new)


def test_a_job_given_back_is_not_due_at_once(job: Job) -> None:
    held = jobs.take(job.id, job.tenant, "one")
    assert held and jobs.give_back(held, 60, "index")
    assert jobs.take(job.id, job.tenant, "two") is None
    Job.objects.filter(pk=job.pk).update(next_at=timezone.now())
    assert jobs.take(job.id, job.tenant, "two")


def test_a_cancelled_job_is_lost_to_its_holder(scope: Scope, job: Job) -> None:
    held = jobs.take(job.id, job.tenant, "one")
    assert held
    assert jobs.cancel(scope, Kind.INGEST, job.subject)
    assert not jobs.renew(held)
    assert jobs.take(job.id, job.tenant, "two") is None


def test_another_tenant_cannot_cancel(job: Job) -> None:
    assert not jobs.cancel(Scope(tenant=uuid4()), Kind.INGEST, job.subject)


def test_ended_states_are_final() -> None:
    ended = {State.DONE, State.FAILED, State.CANCELLED}
    assert all(not MOVES[state] for state in ended)
    assert set(MOVES) == set(State)
