"""The proof of one event, as a file from the desk."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from muniment.accounts.models import Person
from muniment.audit import actions, bundles, verifier
from muniment.audit.models import AuditEvent
from muniment.audit.services import record_alone
from muniment.scope import Role
from tests.audit.sealed import Sealer
from tests.factories import make_person, make_tenant, scope_for
from tests.house import House, events, signed_in


@pytest.fixture
def client(house: House) -> Client:
    return signed_in(make_person(house.tenant, roles=[Role.OFFICER]))


def searched(person: Person) -> AuditEvent:
    return AuditEvent.objects.get(pk=record_alone(scope_for(person), actions.SEARCHED))


def proof_url(event: AuditEvent) -> str:
    return reverse("event-proof", args=[event.event_id])


def test_the_verifier_takes_it(house: House, client: Client, tmp_path: Path) -> None:
    event = searched(house.reader)
    sealer = Sealer(tmp_path / "seal")
    sealer.all()
    response = client.get(proof_url(event))
    assert response.status_code == 200
    assert response.headers["Content-Disposition"] == f'attachment; filename="{event.event_id}.tlog-proof"'
    text = response.content.decode()
    assert text == bundles.proof(house.tenant.id, event.event_id)
    checkpoint, told, number = verifier.check_proof(text)
    assert (told["event_id"], number) == (str(event.event_id), 0)
    assert checkpoint.key.fingerprint == sealer.key.public.fingerprint
    (proved,) = events("trail.event_proved")
    assert proved["object"] == {
        "type": "event",
        "ref": str(event.event_id),
        "version_hash": "",
        "label": None,
    }


def test_only_sealed_events_lead_to_one(house: House, client: Client, tmp_path: Path) -> None:
    sealed = searched(house.reader)
    Sealer(tmp_path / "seal").all()
    waiting = searched(house.reader)
    page = client.get("/desk/trail").content.decode()
    assert proof_url(sealed) in page
    assert proof_url(waiting) not in page
    early = client.get(proof_url(waiting))
    assert early.status_code == 409
    assert "This event is not sealed yet" in early.content.decode()
    assert events("trail.event_proved") == []


def test_another_tenants_event_is_not_there(house: House, client: Client, tmp_path: Path) -> None:
    foreign = searched(make_person(make_tenant()))
    Sealer(tmp_path / "seal").all()
    assert client.get(proof_url(foreign)).status_code == 404
    assert client.get(reverse("event-proof", args=[uuid4()])).status_code == 404


def test_only_officers_have_it(house: House, tmp_path: Path) -> None:
    event = searched(house.reader)
    Sealer(tmp_path / "seal").all()
    for role in set(Role) - {Role.OFFICER}:
        assert signed_in(make_person(house.tenant, roles=[role])).get(proof_url(event)).status_code == 403
