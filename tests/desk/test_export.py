"""Taking out what the filters show: three formats, what the trail says of it, and what may not be in it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from muniment.accounts.models import Person
from muniment.audit import actions
from muniment.audit.actions import CATALOGUE, Outcome, Stage
from muniment.audit.errors import AuditUnavailable
from muniment.audit.merkle import leaf_hash
from muniment.audit.models import AuditEvent
from muniment.audit.services import Thing, record, record_alone
from muniment.desk import exports, ocsf, services
from muniment.desk.exports import Format
from muniment.scope import Role, Scope
from tests.audit.sealed import Sealer
from tests.factories import make_document, make_person, make_tenant, scope_for
from tests.house import House, events, signed_in

# The test client reads in its own way what is written for an asynchronous server.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


@pytest.fixture
def officer(house: House) -> Person:
    return make_person(house.tenant, roles=[Role.OFFICER])


@pytest.fixture
def client(officer: Person) -> Client:
    return signed_in(officer)


def take(client: Client, form: str, **filters: str) -> Any:
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return client.post(f"{reverse('export-trail')}?{query}", {"format": form})


def lines(response: Any) -> list[bytes]:
    assert response.status_code == 200
    whole = b"".join(response)
    assert whole.endswith(b"\n") or not whole
    return whole.split(b"\n")[:-1]


def table(response: Any) -> list[dict[str, str]]:
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(b"".join(response).decode(), newline="")))


def search(scope: Scope, *queries: str) -> None:
    with transaction.atomic():
        for query in queries:
            record(scope, actions.SEARCHED, private={"query": query})


# what leaves


def test_json_lines_are_the_very_bytes_that_are_sealed(house: House, client: Client) -> None:
    search(scope_for(house.reader), "one", "two", "Größe 😀")
    response = take(client, "jsonl")
    assert response.headers["Content-Type"] == "application/x-ndjson"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="trail-')
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    made = AuditEvent.objects.filter(action="search.made").order_by("-occurred_at", "-event_id")
    assert [leaf_hash(line) for line in lines(response)] == [bytes(row.leaf_hash) for row in made]


def test_the_filters_are_those_of_the_page(house: House, client: Client) -> None:
    search(scope_for(house.reader), "one", "two")
    search(scope_for(house.clerk), "three")
    record_alone(scope_for(house.clerk), actions.ACCESS_DENIED, stage=Stage.DENIED, outcome=Outcome.DENIED)

    def count(**filters: str) -> int:
        return len(lines(take(client, "jsonl", **filters)))

    assert count(action="search.made") == 3
    assert count(action="search.made", person=str(house.reader.id)) == 2
    assert count(outcome="denied") == 1
    assert count(until="2001-01-01T00:00") == 0


def test_more_than_fits_into_memory_at_once_comes_without_gap_or_repetition(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 3)
    search(scope_for(house.reader), *(f"query {number}" for number in range(10)))
    assert [row["what"] for row in table(take(client, "csv"))] == [f"query {n}" for n in range(9, -1, -1)]


def test_a_table_has_what_the_page_shows_and_no_more(house: House, client: Client) -> None:
    document = make_document(house.library, "rules, new.txt")
    record_alone(
        scope_for(house.reader),
        actions.DOCUMENT_VIEWED,
        Thing("document", document.id),
        details={"library": house.library.id, "page": 1},
        private={"name": 'the "new" rules,\nfor all'},
    )
    search(scope_for(house.clerk), "x" * 300)
    shown = client.get("/desk/trail", {"person": str(house.reader.id)}).context["events"]
    long, viewed = table(take(client, "csv"))[1:]
    assert viewed["who"] == house.reader.name == shown[0].who
    assert (viewed["did"], viewed["what"], viewed["where"]) == (shown[0].did, shown[0].what, "Handbook")
    assert viewed["what"] == 'the "new" rules,\nfor all · page 1'
    assert (viewed["event"], viewed["action"], viewed["outcome"]) == (
        str(shown[0].id),
        "document.viewed",
        "done",
    )
    assert long["what"] == "x" * 79 + "…"


def test_lines_of_a_table_end_as_the_standard_has_it(house: House, client: Client) -> None:
    search(scope_for(house.reader), "one", "Größe 😀")
    response = take(client, "csv")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    head, *others = b"".join(response).decode().split("\r\n")
    assert head == "time,who,did,what,where,outcome,action,event"
    assert [line.split(",")[3] for line in others[:-1]] == ["Größe 😀", "one"]
    assert others[-1] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"], ids=ascii)
def test_no_field_of_a_table_is_a_formula(house: House, client: Client, start: str) -> None:
    query = f"{start}HYPERLINK(A1)"
    search(scope_for(house.reader), query, f"a{query}")
    inside, first = table(take(client, "csv"))
    assert first["what"] == f"'{query}"
    assert inside["what"] == f"a{query}"


def test_a_name_that_begins_as_a_formula_is_guarded_too(house: House, client: Client) -> None:
    Person.objects.filter(pk=house.reader.pk).update(name="=cmd|' /C calc'!A0")
    search(scope_for(house.reader), "one")
    (row,) = table(take(client, "csv"))
    assert row["who"] == "'=cmd|' /C calc'!A0"


def test_a_nul_is_guarded_where_a_database_lets_one_in() -> None:
    assert exports._no_formula("\0=1") == "'\0=1"


@pytest.mark.parametrize("form", ["jsonl", "ocsf"])
def test_lines_for_programs_name_nobody(house: House, client: Client, form: str) -> None:
    search(scope_for(house.reader), "where is Zebulon")
    whole = b"".join(take(client, form)).decode()
    subject = events("search.made")[0]["actor"]["ref"]
    assert subject in whole
    for word in (house.reader.name, house.reader.username, str(house.reader.id), "Zebulon"):
        assert word not in whole


def test_another_tenants_events_are_in_no_file(house: House, client: Client) -> None:
    search(scope_for(make_person(make_tenant())), "foreign")
    search(scope_for(house.reader), "own")
    assert [row["what"] for row in table(take(client, "csv"))] == ["own"]
    assert len(lines(take(client, "jsonl", action="search.made"))) == 1
    assert len(lines(take(client, "ocsf", action="search.made"))) == 1


# OCSF


def as_ocsf(client: Client, **filters: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(take(client, "ocsf", **filters))]


def test_a_sign_in_is_one_to_a_collector(house: House, client: Client) -> None:
    Client().post("/sign-in", {"username": house.reader.username, "password": "wrong"})
    (body,) = events("session.sign_in_failed")
    (told,) = as_ocsf(client, action="session.sign_in_failed")
    assert (told["class_uid"], told["category_uid"], told["type_uid"]) == (3002, 3, 300201)
    assert (told["status_id"], told["severity_id"]) == (2, 2)
    assert told["metadata"]["uid"] == body["event_id"]
    assert told["metadata"]["tenant_uid"] == str(house.tenant.id)
    assert told["unmapped"]["commitments"] == body["commitments"]


def test_an_answer_names_its_model(house: House, client: Client) -> None:
    scope, turn = scope_for(house.reader), Thing("turn", uuid4())
    details = {"llm_sha256": "a" * 64, "params": {"backend": "an engine 1.0"}}
    record_alone(scope, actions.ANSWER_STARTED, turn, stage=Stage.INTENT, details={"model": "small-1b"})
    record_alone(scope, actions.ANSWER_FINISHED, turn, details=details)
    (finished,) = as_ocsf(client, action="answer.finished")
    assert finished["class_uid"] == 6005
    assert finished["metadata"]["profiles"] == ["ai_operation"]
    assert finished["ai_model"] == {
        "name": "small-1b",
        "ai_provider": "an engine 1.0",
        "uid": "a" * 64,
    }
    (begun,) = as_ocsf(client, action="answer.started")
    assert begun["ai_model"]["name"] == "small-1b"


@pytest.mark.parametrize("action", sorted(CATALOGUE))
def test_nothing_of_an_event_is_lost_on_the_way_to_a_collector(house: House, action: str) -> None:
    person = scope_for(house.reader)
    details = {name: f"the {name}" for name in CATALOGUE[action].details}
    details = {
        name: {"roles": ["staff"], "params": {"seed": 7}, "person": str(house.clerk.id)}.get(name, value)
        for name, value in details.items()
    }
    record_alone(person, action, Thing("thing", "a-ref", "a-hash", 2), reason="why", details=details)
    (body,) = events(action)
    told = ocsf.ocsf(body)
    assert told["class_uid"] // 1000 == told["category_uid"]
    assert told["type_uid"] == told["class_uid"] * 100 + told["activity_id"]
    written = json.dumps(told)
    assert [value for value in leaves_of(body) if json.dumps(value) not in written] == []


def leaves_of(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves_of(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves_of(item)]
    return [] if value is None else [value]


@pytest.mark.parametrize(
    ("action", "class_uid"),
    [
        (actions.SIGNED_IN, 3002),
        (actions.PERSON_CREATED, 3001),
        (actions.GRANT_GIVEN, 3005),
        (actions.ROLES_CHANGED, 3008),
        (actions.TEAM_CREATED, 3004),
        (actions.SEARCHED, 6005),
        (actions.QUESTION_ASKED, 6005),
        (actions.DOCUMENT_UPLOADED, 6006),
        (actions.BUDGET_CHANGED, 6002),
        (actions.TRAIL_VIEWED, 1008),
        (actions.BACKUP_MADE, 6003),
    ],
)
def test_each_kind_of_event_has_its_class(house: House, action: str, class_uid: int) -> None:
    record_alone(scope_for(house.reader), action)
    assert ocsf.ocsf(events(action)[0])["class_uid"] == class_uid


# what the trail says of it


@pytest.mark.parametrize("form", list(Format))
def test_the_trail_says_what_left_by_its_hash(house: House, client: Client, form: Format) -> None:
    for name in ("noise.txt", "nose.txt"):
        record_alone(scope_for(house.reader), actions.DOCUMENT_DELETED, private={"name": name})
    response = take(client, form, person=str(house.reader.id), object="no")
    (intent,) = events("trail.exported")
    assert (intent["stage"], intent["outcome"]) == ("intent", "pending")
    whole = b"".join(response)
    assert intent["details"]["sha256"] == hashlib.sha256(whole).hexdigest()
    assert intent["details"]["bytes"] == len(whole) == int(response.headers["Content-Length"])
    assert (intent["details"]["events"], intent["details"]["format"]) == (2, form)
    assert intent["details"]["filters"] == ["person", "thing"]
    assert intent["details"]["person"] == events("document.deleted")[0]["actor"]["ref"]
    _intent, ended = events("trail.exported")
    assert (ended["stage"], ended["outcome"]) == ("outcome", "done")
    assert ended["object"]["ref"] == intent["event_id"]
    assert ended["details"] == intent["details"]


def test_a_connection_that_breaks_is_an_outcome_too(house: House, client: Client, officer: Person) -> None:
    search(scope_for(house.reader), "one")
    made = services.export(scope_for(officer), services.TrailFilter(), Format.JSONL)
    services.record_export_ended(scope_for(officer), made, complete=False)
    made.file.close()
    assert [event["outcome"] for event in events("trail.exported")] == ["pending", "failed"]


def test_without_the_event_no_byte_leaves(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    search(scope_for(house.reader), "Zebulon")

    def broken(*_args: object, **_more: object) -> None:
        raise AuditUnavailable("the trail is full")

    monkeypatch.setattr(services, "record_alone", broken)
    response = take(client, "csv")
    assert response.status_code == 503
    assert b"Zebulon" not in response.content


def test_what_was_taken_out_is_listed_with_its_manifest(house: House, client: Client, tmp_path: Any) -> None:
    record_alone(scope_for(house.reader), actions.DOCUMENT_DELETED, private={"name": "secret.txt"})
    Sealer(tmp_path / "seal").all()
    whole = b"".join(take(client, "jsonl", object="secret", action="document.deleted"))
    page = client.get(reverse("trail-export"))
    (taken,) = page.context["taken"]
    assert (taken.format, taken.events, taken.sha256) == ("JSONL", 1, hashlib.sha256(whole).hexdigest())
    response = client.get(reverse("export-manifest", args=[taken.event]))
    assert response.headers["Content-Disposition"].endswith('.manifest.json"')
    manifest = json.loads(response.content)
    assert (manifest["sha256"], manifest["bytes"], manifest["events"]) == (taken.sha256, len(whole), 1)
    assert manifest["filters"] == {
        "since": None,
        "until": None,
        "action": "document.deleted",
        "outcome": "",
        "person": None,
        "about": True,
    }
    assert b"secret" not in response.content
    assert manifest["checkpoint"].startswith("muniment-")
    assert f"/{house.tenant.id}\n1\n" in manifest["checkpoint"]


def test_a_manifest_is_of_an_export_of_the_same_tenant(house: House, client: Client) -> None:
    search(scope_for(house.reader), "one")
    other = make_person(make_tenant(), roles=[Role.OFFICER])
    b"".join(take(signed_in(other), "jsonl"))
    foreign = AuditEvent.objects.get(action="trail.exported", stage="intent")
    searched = AuditEvent.objects.get(action="search.made")
    for event in (foreign, searched):
        assert client.get(reverse("export-manifest", args=[event.event_id])).status_code == 404


# what is refused


def test_too_many_are_refused_with_a_sentence(house: House, client: Client, settings: Any) -> None:
    settings.TRAIL_EXPORT_EVENTS = 2
    search(scope_for(house.reader), "one", "two", "three")
    sentence = "3 events fit, and 2 are taken out at once at most. Choose a shorter time"
    page = client.get(reverse("trail-export"), {"action": "search.made"})
    assert sentence in page.content.decode()
    assert 'name="format"' not in page.content.decode()
    refused = take(client, "csv", action="search.made")
    assert refused.status_code == 413
    assert sentence in refused.content.decode()
    assert events("trail.exported") == []
    settings.TRAIL_EXPORT_EVENTS = 3
    assert len(table(take(client, "csv", action="search.made"))) == 3


@pytest.mark.parametrize(
    ("form", "filters"), [("pdf", {}), ("", {}), ("csv", {"since": "yesterday"}), ("csv", {"person": "x"})]
)
def test_what_makes_no_sense_is_refused(client: Client, form: str, filters: dict[str, str]) -> None:
    assert take(client, form, **filters).status_code == 422
    assert events("trail.exported") == []


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OFFICER])
def test_only_officers_take_it_out(house: House, role: Role) -> None:
    assert take(signed_in(make_person(house.tenant, roles=[role])), "jsonl").status_code == 403
    assert events("trail.exported") == []


# the page


def test_the_trail_leads_to_the_export_of_what_it_shows(house: House, client: Client) -> None:
    page = client.get("/desk/trail", {"action": "search.made", "before": ""}).content.decode()
    assert 'href="/desk/trail/export?action=search.made"' in page
    assert 'href="/desk/trail/export"' in client.get("/desk/trail").content.decode()


def test_a_new_filter_changes_the_way_out_as_well(house: House, client: Client) -> None:
    part = client.get("/desk/trail", {"outcome": "denied"}, headers={"hx-request": "true"}).content.decode()
    assert 'id="export" hx-swap-oob="true"' in part
    assert 'href="/desk/trail/export?outcome=denied"' in part
    wrong = client.get("/desk/trail", {"outcome": "x"}, headers={"hx-request": "true"}).content.decode()
    assert "/desk/trail/export" not in wrong


def test_the_page_says_how_many_and_is_looking_itself(house: House, client: Client) -> None:
    search(scope_for(house.reader), "one")
    page = client.get(reverse("trail-export"), {"action": "search.made"}).content.decode()
    assert "1 event fits the filters." in page
    assert len(events("trail.viewed")) == 1
