"""An officer compares the log with the checkpoint that a witness on another machine kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client

from muniment.audit import actions, bundles, verifier
from muniment.audit.actions import Outcome
from muniment.audit.bundles import Trail
from muniment.audit.models import AuditLeaf
from muniment.audit.notes import Note
from muniment.audit.sealing import SITE_LOG
from muniment.audit.services import record_alone
from muniment.scope import Role
from tests.audit.sealed import Sealer
from tests.factories import make_person, make_tenant, scope_for
from tests.house import House, events, signed_in
from tests.triggers import drop_trigger


@pytest.fixture
def client(house: House) -> Client:
    return signed_in(make_person(house.tenant, roles=[Role.OFFICER]))


class Elsewhere:
    """A witness's machine, and the log that it looks at."""

    def __init__(self, house: House, folder: Path) -> None:
        self.house, self.folder, self.sealer = house, folder, Sealer(folder / "seal")

    def seal(self, count: int) -> None:
        for _number in range(count):
            record_alone(scope_for(self.house.reader), actions.SEARCHED)
            self.sealer.all()

    def witness(self) -> str:
        bundle = self.folder / "bundle"
        shutil.rmtree(bundle, ignore_errors=True)
        bundles.write(Trail.now(), bundle)
        verifier.witness(self.folder / "witness", bundle, None)
        return (self.folder / "witness" / "checkpoint").read_text()


@pytest.fixture
def elsewhere(house: House, tmp_path: Path) -> Elsewhere:
    return Elsewhere(house, tmp_path)


def give(client: Client, written: str | bytes) -> Any:
    data = written.encode() if isinstance(written, str) else written
    return client.post("/desk/witness", {"checkpoint": SimpleUploadedFile("checkpoint", data)})


def fact(client: Client) -> dict[str, Any]:
    return dict(client.get("/desk/").context["facts"][-1])


def test_a_log_that_only_grew_is_the_one_that_was_witnessed(
    house: House, client: Client, elsewhere: Elsewhere
) -> None:
    assert fact(client)["figure"] == "never"
    elsewhere.sealer.all()
    sealed = len(events("trail.viewed"))
    elsewhere.seal(3)
    record_alone(scope_for(make_person(make_tenant())), actions.SEARCHED)
    kept = elsewhere.witness()
    elsewhere.seal(2)
    assert give(client, kept).status_code == 302
    (compared,) = events("trail.witnessed")
    key = Note.parse(kept).signatures[-1].key.hex()
    assert (compared["outcome"], compared["details"]["key"]) == ("done", key)
    assert compared["details"]["events"] == sealed + 3
    assert (fact(client)["figure"], fact(client)["note"]) == (
        "just now",
        f"{sealed + 3} events, by key {key}",
    )
    page = client.get("/desk/witness").content.decode()
    assert f"Last witnessed just now: {sealed + 3} events, by key {key}." in page


def test_an_older_witness_does_not_take_the_place_of_a_later_one(
    house: House, client: Client, elsewhere: Elsewhere
) -> None:
    elsewhere.seal(1)
    older = elsewhere.witness()
    elsewhere.seal(2)
    give(client, elsewhere.witness())
    give(client, older)
    assert [one["details"]["events"] for one in events("trail.witnessed")] == [3, 1]
    assert fact(client)["note"].startswith("3 events")


@pytest.mark.parametrize("what", ["nothing", "no_text", "not_cosigned", "changed", "of_another_site", "long"])
def test_what_is_not_of_this_log_is_refused(
    house: House, client: Client, elsewhere: Elsewhere, what: str
) -> None:
    elsewhere.seal(2)
    kept = elsewhere.witness()
    note = Note.parse(kept)
    stranger = Sealer(elsewhere.folder / "another").key
    foreign = stranger.named(note.signatures[0].name).sign(note.text)
    given = {
        "nothing": b"\n",
        "no_text": bytes(range(256)),
        "not_cosigned": str(Note(note.text, note.signatures[:1])),
        "changed": kept.replace("\n2\n", "\n1\n", 1),
        "of_another_site": foreign + str(note.signatures[-1]),
        "long": kept + str(note.signatures[-1]) * 200,
    }
    response = give(client, given[what])
    assert response.status_code == 422
    assert "This is no checkpoint of this installation" in response.content.decode()
    assert events("trail.witnessed") == []
    assert fact(client)["figure"] == "never"


def test_no_file_at_all_is_said_beside_the_field(client: Client) -> None:
    response = client.post("/desk/witness", {})
    assert response.status_code == 422
    assert "field-error" in response.content.decode()


def forget(size: int) -> None:
    """As the owner of the database would put an older state in place."""
    drop_trigger("audit_leaf_no_delete")
    drop_trigger("audit_checkpoint_no_delete")
    bundles.AuditCheckpoint.objects.filter(tenant=SITE_LOG, size__gt=size).delete()
    AuditLeaf.objects.filter(tenant=SITE_LOG, number__gte=size).delete()


def test_a_log_that_went_back_is_an_alarm(house: House, client: Client, elsewhere: Elsewhere) -> None:
    elsewhere.seal(3)
    kept = elsewhere.witness()
    forget(2)
    response = give(client, kept)
    assert response.status_code == 409
    assert "Alarm: the witness saw 3 leaves" in response.content.decode()
    (alarm,) = events("trail.witnessed")
    assert (alarm["outcome"], alarm["reason"], alarm["details"]["here"]) == ("failed", "went_back", 2)


def other_past(client: Client, elsewhere: Elsewhere) -> Any:
    """The log is signed again with its own key, over other leaves."""
    elsewhere.seal(2)
    kept = elsewhere.witness()
    drop_trigger("audit_leaf_no_update")
    with transaction.atomic():
        AuditLeaf.objects.filter(tenant=SITE_LOG, number=0).update(leaf_hash=b"\7" * 32)
    return give(client, kept)


def test_another_root_is_an_alarm_on_the_desk(house: House, client: Client, elsewhere: Elsewhere) -> None:
    response = other_past(client, elsewhere)
    assert response.status_code == 409
    assert "The past was changed, and was signed again." in response.content.decode()
    (alarm,) = events("trail.witnessed")
    assert (alarm["outcome"], alarm["reason"]) == ("failed", "other_root")


def test_an_alarm_stays_on_the_desk_until_a_tree_as_large_has_held(house: House, client: Client) -> None:
    scope = scope_for(make_person(house.tenant, roles=[Role.OFFICER]))

    def compared(size: int, outcome: Outcome) -> bool:
        """Whether the desk says afterwards that the trail is whole."""
        details = {"size": size, "events": size, "key": "01020304", "at": "2026-01-02T03:04:05+00:00"}
        record_alone(scope, actions.TRAIL_WITNESSED, outcome=outcome, details=details)
        state = client.get("/desk/").context["trail"]
        assert state["whole"] or state["title"] == "A witness saw another past"
        return bool(state["whole"])

    assert compared(5, Outcome.DONE)
    assert not compared(5, Outcome.FAILED)
    assert not compared(4, Outcome.DONE)
    assert compared(5, Outcome.DONE)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OFFICER])
def test_only_officers_compare(house: House, role: Role, elsewhere: Elsewhere) -> None:
    elsewhere.seal(1)
    client = signed_in(make_person(house.tenant, roles=[role]))
    assert give(client, elsewhere.witness()).status_code == 403
