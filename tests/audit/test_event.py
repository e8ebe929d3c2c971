"""What an event is: exact bytes, commitments, pseudonyms, and no name in any of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import rfc8785
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.audit import actions, services
from muniment.audit.actions import CATALOGUE
from muniment.audit.errors import AuditUnavailable
from muniment.audit.models import AuditEvent, AuditPrivate, AuditSubject
from muniment.audit.queries import body_of
from muniment.audit.services import Thing, record, record_alone
from muniment.scope import Origin, Role, Scope

FIELDS = {
    *("v", "event_id", "tenant", "ts", "stage", "action", "actor", "object", "outcome", "reason"),
    *("request_id", "source", "policy_version", "app_version", "build_digest", "commitments"),
}


def a_scope(**more: object) -> Scope:
    origin = Origin("person", "password", str(uuid4()), str(uuid4()), ip="192.0.2.7")
    fields = {"tenant": uuid4(), "person": uuid4(), "roles": frozenset({Role.STAFF}), "origin": origin}
    return Scope(**{**fields, **more})  # type: ignore[arg-type]  # fields by name


def write(scope: Scope, action: str = actions.SEARCHED, **rest: object) -> AuditEvent:
    return AuditEvent.objects.get(pk=record_alone(scope, action, **rest))


def test_the_body_has_exactly_these_fields(db: None) -> None:
    scope = a_scope()
    event = write(scope, actions.DOCUMENT_VIEWED, thing=Thing("document", uuid4(), "ab" * 32, 1))
    body = body_of(event)
    assert set(body) == FIELDS
    assert set(body["actor"]) == {"ref", "kind", "roles_hash", "auth_method", "session_ref"}
    assert set(body["object"]) == {"type", "ref", "version_hash", "label"}
    assert set(body["source"]) == {"ip_commit", "trusted_proxy"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body["ts"])
    assert UUID(body["event_id"]).version == 7
    assert body["actor"]["roles_hash"] == hashlib.sha256(b"staff").hexdigest()
    assert body["source"]["ip_commit"] == body["commitments"]["ip"]


def test_the_body_is_canonical_and_its_hash_is_a_leafs(db: None) -> None:
    event = write(
        a_scope(), details={"hits": 3, "libraries": {uuid4(), uuid4()}}, private={"query": "Grüße ☂"}
    )
    body = bytes(event.body)
    assert rfc8785.dumps(json.loads(body)) == body
    assert bytes(event.leaf_hash) == hashlib.sha256(b"\x00" + body).digest()


def test_the_columns_are_copies_of_the_body(db: None) -> None:
    event = write(a_scope(), actions.TEAM_CREATED, thing=Thing("team", uuid4()), private={"name": "North"})
    body = body_of(event)
    assert (event.action, event.stage, event.outcome) == (body["action"], body["stage"], body["outcome"])
    assert (event.object_type, event.object_ref) == (body["object"]["type"], body["object"]["ref"])
    assert (event.actor_ref, event.request_id) == (body["actor"]["ref"], body["request_id"])
    assert (str(event.tenant), str(event.event_id)) == (body["tenant"], body["event_id"])
    assert event.occurred_at == datetime.strptime(body["ts"], "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)


# Long enough not to be found by chance in hexadecimal and dates.
LONG = st.text(alphabet=st.characters(min_codepoint=0x100, max_codepoint=0x2FFF, codec="utf-8"), min_size=4)


@pytest.mark.django_db
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(action=st.sampled_from(sorted(CATALOGUE)), words=LONG)
def test_personal_values_stay_beside_the_body_and_are_committed_to(action: str, words: str) -> None:
    private = {field: f"{words} {field}" for field in CATALOGUE[action].private}
    event = write(a_scope(origin=Origin(account=words, ip=words)), action, private=private)
    text = json.dumps(body_of(event), ensure_ascii=False)
    assert words not in text
    rows = {row.field: row for row in AuditPrivate.objects.filter(event_id=event.event_id)}
    assert {field: row.value for field, row in rows.items()} == {**private, "account": words, "ip": words}
    for field, commitment in body_of(event)["commitments"].items():
        row = rows.pop(field)
        assert hmac.new(bytes(row.salt), row.value.encode(), hashlib.sha256).hexdigest() == commitment
    assert not rows


def test_equal_values_have_unequal_commitments(db: None) -> None:
    scope = a_scope()
    first, second = (body_of(write(scope, private={"query": "the same"})) for _ in range(2))
    assert first["commitments"]["query"] != second["commitments"]["query"]
    assert all(len(bytes(row.salt)) == 16 for row in AuditPrivate.objects.all())


def test_a_field_that_the_catalogue_does_not_name_is_refused(db: None) -> None:
    with pytest.raises(ValueError, match="no field name"):
        write(a_scope(), actions.SEARCHED, details={"name": "Mara"})
    with pytest.raises(ValueError, match="no field note"):
        write(a_scope(), actions.SEARCHED, private={"note": "Mara"})
    assert not AuditEvent.objects.exists()


def test_a_person_is_a_pseudonym_wherever_an_event_names_them(db: None) -> None:
    actor, other = uuid4(), uuid4()
    scope = a_scope(person=actor)
    about = body_of(write(scope, actions.PERSON_ACTIVATED, thing=Thing("person", other)))
    member = body_of(write(scope, actions.TEAM_MEMBER_ADDED, details={"person": other}))
    own = body_of(write(scope, actions.SIGNED_IN, thing=Thing("person", actor)))
    assert about["object"]["ref"] == member["details"]["person"] != own["object"]["ref"]
    assert own["object"]["ref"] == own["actor"]["ref"] == about["actor"]["ref"]
    for body in (about, member, own):
        assert str(actor) not in str(body)
        assert str(other) not in str(body)


def test_a_pseudonym_is_random_for_each_tenant_person_and_year(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope, years = a_scope(), (2026, 2027)
    refs = set()
    for year in years:

        class Then(datetime):
            at = year

            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]  # no zone needed
                return datetime(cls.at, 6, 1, tzinfo=UTC)

        monkeypatch.setattr(services, "datetime", Then)
        refs |= {write(scope).actor_ref, write(scope).actor_ref}
    assert len(refs) == 2
    assert AuditSubject.objects.filter(person=scope.person).count() == 2
    elsewhere = write(a_scope(person=scope.person)).actor_ref
    assert elsewhere not in refs
    assert all(re.fullmatch("[0-9a-f]{32}", ref) for ref in {*refs, elsewhere})


def test_an_event_outside_a_transaction_is_refused(transactional_db: None) -> None:
    with pytest.raises(AuditUnavailable):
        record(a_scope(), actions.SEARCHED)


def test_an_event_rolls_back_with_its_effect(db: None) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        record(a_scope(), actions.SEARCHED, private={"query": "x"})
        raise RuntimeError
    assert not AuditEvent.objects.exists()
    assert not AuditPrivate.objects.exists()


def test_every_action_says_what_it_is_and_why_it_is_kept() -> None:
    for name, action in CATALOGUE.items():
        assert name == action.name
        assert str(action.verb)
        assert str(action.why).endswith(".")
        assert not action.details & action.private
    assert set(CATALOGUE) >= actions.CHANGES
