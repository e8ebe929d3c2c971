"""The officer's pages."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from muniment.accounts.models import Person
from muniment.audit import actions
from muniment.audit.actions import Outcome, Stage
from muniment.audit.models import AuditEvent
from muniment.audit.services import Thing, record, record_alone
from muniment.desk.views import PAGE
from muniment.documents.services import record_view
from muniment.scope import Role, Scope
from muniment.tenancy.services import create_team, give_access, system_scope
from tests.factories import make_document, make_person, make_tenant, scope_for
from tests.house import House, events, signed_in
from tests.triggers import drop_trigger, guards


@pytest.fixture
def officer(house: House) -> Person:
    return make_person(house.tenant, roles=[Role.OFFICER])


@pytest.fixture
def client(officer: Person) -> Client:
    return signed_in(officer)


def found(client: Client, **filters: object) -> list[tuple[str, str, str]]:
    """Who did what in the rows of the trail, without the looking itself."""
    rows = client.get("/desk/trail", filters).context["events"]
    return [(row.who, row.did, row.what) for row in rows if row.did != "opened the trail"]


def test_it_shows_who_did_what_where(house: House, client: Client) -> None:
    document = make_document(house.library, "rules.txt")
    record_view(scope_for(house.reader), document.current, 1)
    (row,) = client.get("/desk/trail").context["events"]
    assert (row.who, row.did) == (house.reader.name, "viewed a page")
    assert (row.what, row.where) == ("rules.txt · page 1", "Handbook")
    assert (row.outcome, row.outcome_text) == ("done", "done")


def test_rights_are_told_in_words(house: House, client: Client) -> None:
    admin = make_person(house.tenant, roles=[Role.TENANT_ADMIN])
    give_access(scope_for(admin), house.library.id, 1, person_id=house.curator.id)
    give_access(scope_for(admin), house.library.id, 1)
    everybody, by_name = found(client)
    assert everybody[2] == "Handbook · everybody · may read and ask"
    assert by_name[2] == f"Handbook · {house.curator.username} · may read and ask"


def test_the_system_and_who_is_nobody_are_named_so(house: House, client: Client) -> None:
    document = make_document(house.library)
    with transaction.atomic():
        record(system_scope(house.tenant.id), actions.DOCUMENT_PUBLISHED, Thing("document", document.id))
    Client().post("/sign-in", {"username": house.reader.username, "password": "wrong"})
    failed, published = found(client)
    assert published[0] == "the system"
    assert failed == ("nobody who is signed in", "failed to sign in", house.reader.username)


def test_who_was_erased_stays_a_pseudonym(house: House, client: Client) -> None:
    record_alone(scope_for(house.reader), actions.SEARCHED)
    house.reader.delete()
    assert found(client) == [("a person who is no longer known", "searched", "")]


def test_looking_is_an_event_with_its_filters(house: House, officer: Person, client: Client) -> None:
    record_alone(scope_for(house.reader), actions.SEARCHED)
    client.get("/desk/trail", {"person": str(house.reader.id), "object": "Mara"})
    (body,) = events("trail.viewed")
    (searched,) = events("search.made")
    assert body["details"]["filters"] == ["person", "thing"]
    assert body["details"]["person"] == searched["actor"]["ref"]
    assert "Mara" not in str(body)
    assert found(client, person=str(officer.id)) == []


def test_filters_narrow(house: House, client: Client) -> None:
    reader, clerk = scope_for(house.reader), scope_for(house.clerk)
    document = uuid4()
    record_alone(reader, actions.SEARCHED, private={"query": "one"})
    record_alone(clerk, actions.SEARCHED, private={"query": "two"})
    record_alone(
        clerk, actions.DOCUMENT_DELETED, Thing("document", document), private={"name": "Noise survey.xlsx"}
    )
    record_alone(clerk, actions.ACCESS_DENIED, stage=Stage.DENIED, outcome=Outcome.DENIED)

    def whats(**filters: object) -> list[str]:
        return [what for _who, _did, what in found(client, **filters)]

    assert whats(person=str(house.reader.id)) == ["one"]
    assert whats(action="search.made") == ["two", "one"]
    assert whats(outcome="denied") == [""]
    assert whats(object="noise") == whats(object=str(document)) == ["Noise survey.xlsx"]
    assert whats(action="search.made", person=str(house.clerk.id)) == ["two"]
    hour = timedelta(hours=1)
    now = timezone.localtime()
    assert whats(since=f"{now + hour:%Y-%m-%dT%H:%M}") == whats(until=f"{now - hour:%Y-%m-%dT%H:%M}") == []
    assert len(whats(since=f"{now - hour:%Y-%m-%dT%H:%M}", until=f"{now + hour:%Y-%m-%dT%H:%M}")) == 4


def test_the_person_filter_finds_what_was_done_to_them_too(house: House, client: Client) -> None:
    admin = scope_for(make_person(house.tenant, roles=[Role.TENANT_ADMIN]))
    record_alone(admin, actions.PERSON_DEACTIVATED, Thing("person", house.reader.id))
    assert [(did, what) for _who, did, what in found(client, person=str(house.reader.id))] == [
        ("deactivated a person", house.reader.name)
    ]


@pytest.mark.parametrize(
    "wrong", [{"since": "yesterday"}, {"person": "nonsense"}, {"action": "x"}, {"outcome": "x"}], ids=str
)
def test_a_filter_that_makes_no_sense_finds_nothing_and_says_so(
    client: Client, wrong: dict[str, str]
) -> None:
    response = client.get("/desk/trail", wrong)
    assert response.status_code == 422
    assert "field-error" in response.content.decode()


def fill(scope: Scope, count: int) -> None:
    with transaction.atomic():
        for number in range(count):
            record(scope, actions.SEARCHED, private={"query": f"query {number}"})


def test_pages_follow_each_other_without_gap_or_repetition(house: House, client: Client) -> None:
    fill(scope_for(house.reader), 2 * PAGE + 7)
    seen, before = [], None
    for _page in range(3):
        filters = {"action": "search.made", **({"before": before} if before else {})}
        response = client.get("/desk/trail", filters)
        seen += [row.what for row in response.context["events"]]
        before = response.context["older"]
        fill(scope_for(house.clerk), 1)  # what comes in between moves nothing
    assert before is None
    assert seen == [f"query {number}" for number in reversed(range(2 * PAGE + 7))]


def test_the_pager_keeps_the_filters(house: House, client: Client) -> None:
    fill(scope_for(house.reader), PAGE + 1)
    response = client.get("/desk/trail", {"action": "search.made"})
    older = response.context["older"]
    assert f"?action=search.made&amp;before={older}" in response.content.decode()


@pytest.mark.parametrize("before", ["nonsense", str(uuid4())])
def test_a_page_after_nothing_is_404(client: Client, before: str) -> None:
    assert client.get("/desk/trail", {"before": before}).status_code == 404


def test_many_rows_cost_no_more_queries_than_few(
    house: House, client: Client, django_assert_max_num_queries: object
) -> None:
    fill(scope_for(house.reader), PAGE)
    with django_assert_max_num_queries(25):  # type: ignore[operator]  # a fixture of pytest-django
        client.get("/desk/trail")


def test_another_tenants_events_are_not_there(house: House, client: Client) -> None:
    stranger = make_person(make_tenant(), roles=[Role.TENANT_ADMIN])
    create_team(scope_for(stranger), "Foreign legion")
    foreign = AuditEvent.objects.get(action="team.created")
    page = client.get("/desk/trail")
    assert "Foreign legion" not in page.content.decode()
    assert client.get("/desk/trail", {"before": str(foreign.event_id)}).status_code == 404


def test_words_of_people_are_shown_as_text(house: House, client: Client) -> None:
    record_alone(scope_for(house.reader), actions.SEARCHED, private={"query": "<script>alert(1)</script>"})
    assert "<script>alert" not in client.get("/desk/trail").content.decode()


def test_the_first_page_sums_up(house: House, client: Client) -> None:
    Client().post("/sign-in", {"username": house.reader.username, "password": "wrong"})
    admin = make_person(house.tenant, roles=[Role.TENANT_ADMIN])
    create_team(scope_for(admin), "North")
    page = client.get(reverse("desk"))
    refused, today, _questions, _witness = page.context["facts"]
    assert (refused["figure"], refused["note"]) == ("1", "1 failed sign-in")
    assert today["figure"] == "3"
    assert page.context["trail"]["whole"]
    assert [change["what"] for change in page.context["changes"]] == ["created a team: North"]
    assert len(events("trail.viewed")) == 1


def test_a_missing_guard_is_the_first_thing_said(client: Client) -> None:
    drop_trigger(guards()[0])
    page = client.get(reverse("desk"))
    assert not page.context["trail"]["whole"]
    assert "The trail is not protected" in page.content.decode()


def test_htmx_gets_the_rows_alone(house: House, client: Client) -> None:
    record_alone(scope_for(house.reader), actions.SEARCHED)
    part = client.get("/desk/trail", headers={"hx-request": "true"}).content.decode()
    assert "<html" not in part
    assert "searched" in part
