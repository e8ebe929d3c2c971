"""Sealing: every event once, in one tree a tenant, whoever is killed, late, twice there or went back."""

from __future__ import annotations

import itertools
import os
import random
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections, transaction

from muniment.audit import actions, sealing
from muniment.audit.keys import KeyUnusable
from muniment.audit.models import AuditCheckpoint, AuditEvent, AuditKey, AuditLeaf, AuditPending
from muniment.audit.sealing import SITE_LOG, LogBroken, Memory
from muniment.audit.services import record, record_alone
from tests.audit.sealed import Sealer, require_whole
from tests.audit.test_event import a_scope
from tests.triggers import drop_trigger


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(tmp_path / "seal")


def test_events_are_sealed_in_the_order_they_were_written(db: None, sealer: Sealer) -> None:
    scope, other = a_scope(), a_scope()
    mine = [record_alone(scope, actions.SEARCHED) for _n in range(3)]
    theirs = record_alone(other, actions.SEARCHED)
    assert sealer.once() == 4
    assert sealer.once() == 0
    leaves = AuditLeaf.objects.filter(tenant=scope.tenant).order_by("number")
    assert [leaf.event for leaf in leaves] == mine
    assert AuditLeaf.objects.get(tenant=other.tenant).event == theirs
    assert require_whole(sealer.key) == {scope.tenant: 3, other.tenant: 1, SITE_LOG: 2}
    assert AuditKey.objects.get().key == str(sealer.key.public)


def test_a_tree_goes_on_and_an_idle_one_costs_nothing(db: None, sealer: Sealer) -> None:
    scope, idle = a_scope(), a_scope()
    record_alone(idle, actions.SEARCHED)
    for _n in range(9):
        record_alone(scope, actions.SEARCHED)
        sealer.once()
    assert require_whole(sealer.key) == {scope.tenant: 9, idle.tenant: 1, SITE_LOG: 10}
    assert AuditCheckpoint.objects.filter(tenant=scope.tenant).count() == 9
    assert AuditCheckpoint.objects.filter(tenant=idle.tenant).count() == 1


def test_a_long_queue_is_sealed_piece_by_piece(
    db: None, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BATCH", 4)
    scope = a_scope()
    for _n in range(10):
        record_alone(scope, actions.SEARCHED)
    assert [sealer.once() for _n in range(4)] == [4, 4, 2, 0]
    require_whole(sealer.key)


def test_an_event_that_is_queued_twice_is_sealed_once(db: None, sealer: Sealer) -> None:
    """As after a move: the queue is filled again with events that have their leaves."""
    scope = a_scope()
    event = record_alone(scope, actions.SEARCHED)
    AuditPending.objects.create(event=event, tenant=scope.tenant)
    sealer.all()
    AuditPending.objects.create(event=event, tenant=scope.tenant)
    assert sealer.once() == 0
    assert require_whole(sealer.key)[scope.tenant] == 1


def test_an_event_that_was_changed_or_removed_before_its_seal_stays_in_the_queue(
    db: None, sealer: Sealer
) -> None:
    scope = a_scope()
    changed, removed, kept = (record_alone(scope, actions.SEARCHED) for _n in range(3))
    drop_trigger("audit_event_no_update")
    drop_trigger("audit_event_no_delete")
    AuditEvent.objects.filter(pk=changed).update(body=b"{}")
    AuditEvent.objects.filter(pk=removed).delete()
    assert sealer.all() == 1
    assert AuditLeaf.objects.get(tenant=scope.tenant).event == kept
    assert set(AuditPending.objects.values_list("event", flat=True)) == {changed, removed}


def in_child(run: Callable[[], Any]) -> int:
    """Run in a forked process with connections of its own; gives its exit code, -9 where it was killed."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            run()
            connections.close_all()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_statement_it_loses_nothing_doubles_nothing_and_forks_nothing(sealer: Sealer) -> None:
    scopes = [a_scope(), a_scope()]

    def killed_at(number: int) -> int:
        def run() -> None:
            count = itertools.count(1)

            def counted(execute: Callable[..., Any], *about: Any) -> Any:
                if next(count) == number:
                    die()
                return execute(*about)

            with connection.execute_wrapper(counted):
                sealer.once()

        return in_child(run)

    for number in itertools.count(1):
        for scope in scopes:
            record_alone(scope, actions.SEARCHED)
        ended = killed_at(number)
        sizes = require_whole(sealer.key)
        if ended == 0:
            break
        assert ended == -9
        assert not sizes, f"statement {number} left something"
    assert number > 15
    assert sizes == {scopes[0].tenant: number, scopes[1].tenant: number, SITE_LOG: 2}


@pytest.mark.django_db(transaction=True)
def test_killed_after_the_commit_it_goes_on(sealer: Sealer, monkeypatch: pytest.MonkeyPatch) -> None:
    scope = a_scope()
    record_alone(scope, actions.SEARCHED)
    sealer.all()
    with monkeypatch.context() as patch:
        patch.setattr(Memory, "keep", lambda *_about: die())
        record_alone(scope, actions.SEARCHED)
        assert in_child(sealer.once) == -9
    record_alone(scope, actions.SEARCHED)
    assert sealer.all() == 1
    assert require_whole(sealer.key) == {scope.tenant: 3, SITE_LOG: 3}


@pytest.mark.django_db(transaction=True)
def test_many_writers_that_wait_and_take_back_and_two_sequencers(sealer: Sealer) -> None:
    scopes, stop = [a_scope() for _n in range(3)], threading.Event()
    writers, each = (4, 12) if connection.vendor == "sqlite" else (16, 20)

    def write(seed: int) -> int:
        rng, written = random.Random(seed), 0
        for _n in range(each):
            try:
                with transaction.atomic():
                    record(rng.choice(scopes), actions.SEARCHED)
                    stop.wait(rng.random() * 0.02)
                    if rng.random() < 0.2:
                        raise RuntimeError
                written += 1
            except RuntimeError:
                pass
        connection.close()
        return written

    def seal(sealer: Sealer) -> int:
        count = 0
        while not stop.is_set():
            count += sealer.once()
            stop.wait(0.005)
        connection.close()
        return count

    with ThreadPoolExecutor(writers + 2) as pool:
        sequencers = [pool.submit(seal, each) for each in (sealer, sealer.twin())]
        written = sum(pool.map(write, range(writers)))
        stop.set()
        sealed = sum(running.result() for running in sequencers)
    sealed += sealer.all()
    assert sealed == written == AuditEvent.objects.count()
    sizes = require_whole(sealer.key)
    assert sum(sizes.values()) - sizes[SITE_LOG] == written


def test_a_database_that_went_back_is_not_sealed_over(db: None, sealer: Sealer) -> None:
    scope = a_scope()
    for _n in range(2):
        record_alone(scope, actions.SEARCHED)
        sealer.once()
    _go_back(1)
    record_alone(scope, actions.SEARCHED)
    with pytest.raises(LogBroken, match="size 2; the database has 1"):
        sealer.once()
    assert AuditCheckpoint.objects.filter(tenant=SITE_LOG).count() == 1


def _go_back(size: int) -> None:
    """As an older state of the database would have it."""
    for table in ("audit_leaf", "audit_checkpoint"):
        drop_trigger(f"{table}_no_delete")
    later = AuditCheckpoint.objects.filter(size__gt=size)
    AuditLeaf.objects.filter(number__gte=size).delete()
    later.delete()


def test_another_tree_of_the_same_size_is_not_gone_on_with(db: None, sealer: Sealer, tmp_path: Path) -> None:
    record_alone(a_scope(), actions.SEARCHED)
    sealer.once()
    remembered = sealer.memory.last()
    _go_back(0)
    sealer.memory.path.unlink()
    record_alone(a_scope(), actions.SEARCHED)
    sealer.once()
    sealer.memory.keep(remembered)
    record_alone(a_scope(), actions.SEARCHED)
    with pytest.raises(LogBroken, match="does not go on"):
        sealer.once()


@pytest.mark.parametrize("change", ["note", "frontier", "size"])
def test_a_last_checkpoint_that_was_changed_is_not_gone_on_with(
    db: None, sealer: Sealer, change: str
) -> None:
    scope = a_scope()
    record_alone(scope, actions.SEARCHED)
    sealer.once()
    drop_trigger("audit_checkpoint_no_update")
    last = AuditCheckpoint.objects.get(tenant=scope.tenant)
    changed: dict[str, Any] = {
        "note": last.note.replace("\n1\n", "\n3\n"),
        "frontier": bytes(32),
        "size": 2,
    }
    AuditCheckpoint.objects.filter(pk=last.pk).update(**{change: changed[change]})
    record_alone(scope, actions.SEARCHED)
    with pytest.raises(LogBroken, match="was changed"):
        sealer.once()


def test_another_key_goes_on_with_the_log_and_its_name(db: None, sealer: Sealer, tmp_path: Path) -> None:
    scope = a_scope()
    record_alone(scope, actions.SEARCHED)
    sealer.once()
    (sealer.folder / "log.key").rename(tmp_path / "old.key")
    first = AuditCheckpoint.objects.get(tenant=SITE_LOG).note
    record_alone(scope, actions.SEARCHED)
    assert sealer.once() == 1
    assert AuditKey.objects.count() == 2
    later = AuditCheckpoint.objects.get(tenant=SITE_LOG, size=2).note
    assert later.split("\n")[0] == first.split("\n")[0]
    for note in (first, later):
        sealing.checked(note)


def test_a_checkpoint_of_a_key_that_nobody_published_is_not_gone_on_with(
    db: None, sealer: Sealer, tmp_path: Path
) -> None:
    scope = a_scope()
    record_alone(scope, actions.SEARCHED)
    sealer.once()
    stranger = Sealer(tmp_path / "stranger").key
    last = AuditCheckpoint.objects.get(tenant=scope.tenant)
    text = last.note.partition("\n\n")[0]
    drop_trigger("audit_checkpoint_no_update")
    forged = stranger.named(text.split("\n")[0]).sign(f"{text}\n")
    AuditCheckpoint.objects.filter(pk=last.pk).update(note=forged)
    record_alone(scope, actions.SEARCHED)
    with pytest.raises(LogBroken, match="not signed by a key of the log"):
        sealer.once()


def test_where_the_log_cannot_be_written_nothing_is_sealed(db: None, sealer: Sealer) -> None:
    record_alone(a_scope(), actions.SEARCHED)
    begin = "BEFORE INSERT ON audit_checkpoint"
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"CREATE TRIGGER broken {begin} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        else:
            cursor.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'disk full'; END $$"
            )
            cursor.execute(f"CREATE TRIGGER broken {begin} FOR EACH ROW EXECUTE FUNCTION full_disk()")
    with pytest.raises(DatabaseError, match="disk full"):
        sealer.once()
    assert not AuditLeaf.objects.exists()
    assert AuditPending.objects.count() == 1
    assert not sealer.memory.last()


def test_a_damaged_or_readable_key_signs_nothing(db: None, sealer: Sealer) -> None:
    record_alone(a_scope(), actions.SEARCHED)
    sealer.once()
    path = sealer.folder / "log.key"
    path.chmod(0o644)
    with pytest.raises(KeyUnusable, match="mode 600"):
        sealer.once()
    path.write_text(path.read_text().replace("PRIVATE", "PUBLIC"))
    path.chmod(0o600)
    with pytest.raises(KeyUnusable, match="damaged"):
        sealer.once()


def test_a_clock_that_was_set_back_changes_no_order(
    db: None, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    from muniment.audit import services

    scope = a_scope()
    written = []
    for year in (2027, 2026):

        class Then(datetime):
            at = year

            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # no zone needed
                return datetime(cls.at, 6, 1, tzinfo=UTC)

        monkeypatch.setattr(services, "datetime", Then)
        written.append(record_alone(scope, actions.SEARCHED))
    sealer.once()
    assert [
        leaf.event for leaf in AuditLeaf.objects.filter(tenant=scope.tenant).order_by("number")
    ] == written
    require_whole(sealer.key)
