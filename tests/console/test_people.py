"""The administrator's pages about people and teams."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from muniment.accounts.models import Person
from muniment.scope import Label, Role
from muniment.tenancy.models import Team
from tests.factories import make_person, make_tenant
from tests.house import House, events, signed_in


@pytest.fixture
def admin(house: House) -> Person:
    return make_person(house.tenant, roles=[Role.TENANT_ADMIN])


@pytest.fixture
def client(admin: Person) -> Client:
    return signed_in(admin)


def new_person(**more: object) -> dict[str, object]:
    return {"name": "Ines Farrow", "username": "ines", "roles": ["staff"], "clearance": "1", **more}


def test_a_new_person_signs_in_with_the_password_that_is_shown_once(house: House, client: Client) -> None:
    page = client.post("/console/people/create", new_person()).content.decode()
    password = re.search(r'class="secret">([^<]+)<', page)
    assert password
    made = Person.objects.get(username="ines")
    assert (made.name, made.tenant_id, made.roles) == ("Ines Farrow", house.tenant.id, ["staff"])
    assert password[1] not in client.get(reverse("person", args=[made.id])).content.decode()
    response = Client().post("/sign-in", {"username": "ines", "password": password[1]})
    assert response.status_code == 302
    (body,) = events("person.created")
    assert body["details"] == {"roles": ["staff"], "clearance": 1}


def test_roles_and_clearance_change(house: House, client: Client) -> None:
    url = reverse("person", args=[house.reader.id])
    assert client.post(url, {"roles": ["staff", "curator"], "clearance": "2"}).status_code == 302
    changed = Person.objects.get(pk=house.reader.pk)
    assert (changed.roles, changed.clearance) == (["curator", "staff"], Label.CONFIDENTIAL)
    (body,) = events("person.roles_changed")
    assert body["details"]["roles_before"] == ["staff"]


@pytest.mark.parametrize("admin_role", ["tenant_admin", "site_admin"])
def test_nobody_is_administrator_and_officer_at_once(house: House, admin_role: str) -> None:
    client = signed_in(make_person(house.tenant, roles=[Role.SITE_ADMIN]))
    roles = [admin_role, "officer"]
    assert client.post("/console/people/create", new_person(roles=roles)).status_code == 422
    url = reverse("person", args=[house.reader.id])
    response = client.post(url, {"roles": roles, "clearance": "1"})
    assert response.status_code == 422
    assert "at once" in response.content.decode()
    assert not Person.objects.filter(username="ines").exists()
    assert Person.objects.get(pk=house.reader.pk).roles == ["staff"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"username": ""},
        {"username": "two words"},
        {"username": "x" * 61},
        {"name": "   "},
        {"roles": []},
        {"roles": ["king"]},
        {"clearance": "9"},
        {"clearance": "-1"},
    ],
    ids=str,
)
def test_a_person_that_makes_no_sense_is_not_made(client: Client, wrong: dict[str, object]) -> None:
    response = client.post("/console/people/create", new_person(**wrong))
    assert response.status_code == 422
    assert "data-open-now" in response.content.decode()
    assert not events("person.created")


def test_a_taken_name_is_refused_whatever_its_case(house: House, client: Client) -> None:
    response = client.post("/console/people/create", new_person(username=house.reader.username.upper()))
    assert response.status_code == 422
    assert "taken" in response.content.decode()


def test_deactivate_and_activate(house: House, client: Client) -> None:
    client.post(reverse("deactivate-person", args=[house.reader.id]))
    assert not Person.objects.get(pk=house.reader.pk).is_active
    client.post(reverse("activate-person", args=[house.reader.id]))
    assert Person.objects.get(pk=house.reader.pk).is_active
    assert len(events("person.deactivated")) == len(events("person.activated")) == 1


def test_an_activated_person_signs_in_anew(house: House, client: Client) -> None:
    before = signed_in(house.reader)
    client.post(reverse("deactivate-person", args=[house.reader.id]))
    client.post(reverse("activate-person", args=[house.reader.id]))
    assert before.get("/profile").status_code == 302
    assert signed_in(Person.objects.get(pk=house.reader.pk)).get("/profile").status_code == 200


@pytest.mark.parametrize("route", ["person", "reset-password", "deactivate-person", "activate-person"])
def test_nobody_changes_themselves(admin: Person, client: Client, route: str) -> None:
    response = client.post(reverse(route, args=[admin.id]), {"roles": ["curator"], "clearance": "3"})
    assert response.status_code == 403
    unchanged = Person.objects.get(pk=admin.pk)
    assert (unchanged.roles, unchanged.is_active, unchanged.clearance) == (
        ["tenant_admin"],
        True,
        admin.clearance,
    )


@pytest.mark.parametrize("route", ["person", "reset-password", "deactivate-person"])
def test_a_site_administrator_is_changed_by_others_of_the_kind_only(
    house: House, client: Client, route: str
) -> None:
    site = make_person(house.tenant, roles=[Role.SITE_ADMIN])
    data = {"roles": ["staff"], "clearance": "1"}
    assert client.post(reverse(route, args=[site.id]), data).status_code == 403
    other = signed_in(make_person(house.tenant, roles=[Role.SITE_ADMIN]))
    assert other.post(reverse(route, args=[site.id]), data).status_code in {200, 302}


def test_a_tenant_administrator_makes_no_site_administrator(house: House, client: Client) -> None:
    assert client.post("/console/people/create", new_person(roles=["site_admin"])).status_code == 422
    url = reverse("person", args=[house.reader.id])
    assert client.post(url, {"roles": ["site_admin"], "clearance": "1"}).status_code == 422
    assert Person.objects.get(pk=house.reader.pk).roles == ["staff"]


def test_the_list_finds_by_name_and_shows_this_tenant_only(house: House, client: Client) -> None:
    stranger = make_person(make_tenant())
    page = client.get("/console/people/").content.decode()
    assert house.reader.name in page
    assert stranger.username not in page
    found = client.get("/console/people/", {"q": house.clerk.username}).context["people"]
    assert [person["username"] for person in found] == [house.clerk.username]


def test_a_name_is_shown_as_text(client: Client) -> None:
    page = client.post("/console/people/create", new_person(name="<img src=x onerror=alert(1)>"))
    assert "<img" not in page.content.decode()


def test_the_list_takes_the_same_queries_for_many(
    house: House, client: Client, django_assert_max_num_queries: object
) -> None:
    for _number in range(30):
        make_person(house.tenant)
    with django_assert_max_num_queries(12):  # type: ignore[operator]  # a fixture of pytest-django
        client.get("/console/people/")


def test_teams(house: House, client: Client) -> None:
    url = client.post("/console/teams/create", {"name": " North   shift "}).headers["Location"]
    team = Team.objects.get(name="North shift")
    client.post(reverse("add-member", args=[team.id]), {"person": house.reader.id})
    assert house.reader.username in client.get(url).content.decode()
    client.post(reverse("remove-member", args=[team.id, house.reader.id]))
    assert not team.members.exists()
    client.post(reverse("delete-team", args=[team.id]))
    assert not Team.objects.exists()
    assert [
        len(events(f"team.{what}")) for what in ("created", "member_added", "member_removed", "deleted")
    ] == [1] * 4


def test_two_teams_of_one_name_are_refused(client: Client) -> None:
    client.post("/console/teams/create", {"name": "North"})
    assert client.post("/console/teams/create", {"name": "North"}).status_code == 422


def test_somebody_of_another_tenant_joins_no_team(house: House, client: Client) -> None:
    team = Team.objects.create(tenant=house.tenant, name="North")
    for stranger in (make_person(make_tenant()).id, uuid4(), "nonsense"):
        client.post(reverse("add-member", args=[team.id]), {"person": stranger})
    assert not team.members.exists()
