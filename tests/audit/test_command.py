"""`manage.py audit`: the trail is verified where it lies, taken out, and one event of it proven."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from muniment.audit import actions, macs, verifier
from muniment.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditPending
from muniment.audit.sealing import SITE_LOG
from muniment.audit.services import record_alone
from muniment.scope import Scope
from tests.audit import second
from tests.audit.sealed import Sealer
from tests.audit.test_event import a_scope
from tests.triggers import drop_trigger


@pytest.fixture
def scope(db: None, tmp_path: Path) -> Scope:
    """Five sealed events of a tenant, and one that waits."""
    scope, sealer = a_scope(), Sealer(tmp_path / "seal")
    for _n in range(5):
        record_alone(scope, actions.SEARCHED)
        sealer.all()
    record_alone(scope, actions.SEARCHED)
    return scope


def faults(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(CommandError, match="not whole"):
        call_command("audit", "verify")
    return capsys.readouterr().out


def test_a_whole_trail_is_whole(scope: Scope, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit", "verify")
    said = capsys.readouterr().out
    assert "Whole: 5 sealed events, 1 wait" in said
    assert AuditEvent.objects.get(action=actions.TRAIL_VERIFIED).outcome == "done"


def third() -> AuditEvent:
    leaf = AuditLeaf.objects.exclude(tenant=SITE_LOG).filter(number=2)
    return AuditEvent.objects.get(event_id__in=leaf.values("event"))


def change(**columns: object) -> None:
    drop_trigger("audit_event_no_update")
    AuditEvent.objects.filter(pk=third().pk).update(**columns)


def remove() -> None:
    drop_trigger("audit_event_no_delete")
    AuditEvent.objects.filter(pk=third().pk).delete()


def insert_without_a_code() -> None:
    row = third()
    AuditEvent.objects.create(
        event_id="00000000-0000-7000-8000-000000000009",
        **{
            field.attname: getattr(row, field.attname)
            for field in AuditEvent._meta.concrete_fields
            if field.attname not in {"event_id", "row_mac"}
        },
    )


def lose_from_the_queue() -> None:
    drop_trigger("audit_pending_no_delete")
    AuditPending.objects.all().delete()


def remove_before_the_seal() -> None:
    drop_trigger("audit_event_no_delete")
    AuditEvent.objects.filter(event_id__in=AuditPending.objects.values("event")).delete()


def drop_a_checkpoint() -> None:
    drop_trigger("audit_checkpoint_no_delete")
    AuditCheckpoint.objects.exclude(tenant=SITE_LOG).filter(size=3).delete()


TAMPERING: dict[str, tuple[Callable[[], None], str]] = {
    "a body": (lambda: change(body=b"{}"), "Event number 2 of the log"),
    "a column": (lambda: change(outcome="denied"), "The column outcome of the event"),
    "a removal": (remove, "Event number 2 of the log"),
    "an insertion": (insert_without_a_code, "was not written by this application"),
    "the queue": (lose_from_the_queue, "has no leaf and does not wait for one"),
    "a removal before the seal": (remove_before_the_seal, "was removed before it was sealed"),
    "a checkpoint": (drop_a_checkpoint, "is missing"),
    "a guard": (lambda: drop_trigger("audit_leaf_no_update"), "The guard audit_leaf_no_update is missing"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_what_the_owner_of_the_database_does_is_found(
    scope: Scope, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    act, expected = TAMPERING[name]
    act()
    assert expected in faults(capsys)


def test_another_key_of_codes_is_found(
    scope: Scope, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(macs, "_keys", lambda _path: [b"k" * 32])
    assert "its key is not here" in faults(capsys)


def test_a_bundle_is_whole_and_its_export_is_in_the_trail(scope: Scope, tmp_path: Path) -> None:
    call_command("audit", "export", "--out", str(tmp_path / "bundle"))
    assert verifier.check_bundle(tmp_path / "bundle").events == 5
    assert second.is_whole(tmp_path / "bundle")
    events = AuditEvent.objects.filter(action=actions.TRAIL_EXPORTED).order_by("occurred_at")
    assert [event.stage for event in events] == ["intent", "outcome"]
    with pytest.raises(CommandError, match="not empty"):
        call_command("audit", "export", "--out", str(tmp_path / "bundle"))
    shutil.rmtree(tmp_path / "bundle")
    call_command("audit", "export", "--out", str(tmp_path / "bundle"), "--until", "2020-01-01")
    assert verifier.check_bundle(tmp_path / "bundle").events == 0
    with pytest.raises(CommandError, match="no tenant"):
        call_command("audit", "export", "--out", str(tmp_path / "other"), "--tenant", "nobody")


def test_one_event_is_proven(scope: Scope, tmp_path: Path) -> None:
    event, path = third(), tmp_path / "event.tlog-proof"
    call_command("audit", "prove", str(event.pk), "--out", str(path))
    _checkpoint, told, number = verifier.check_proof(path.read_text())
    assert (told["event_id"], number) == (str(event.pk), 2)
    waiting = AuditPending.objects.earliest("id").event
    with pytest.raises(CommandError, match="not sealed yet"):
        call_command("audit", "prove", str(waiting), "--out", str(path))
