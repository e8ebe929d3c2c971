"""Without its event nothing happens: the effect is taken back and the caller gets 503."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from muniment.accounts.models import Person
from muniment.audit.models import AuditEvent
from muniment.registry.models import Engine
from muniment.scope import Role
from muniment.tenancy.models import Grant, Library, Team
from tests.factories import PASSWORD, make_person
from tests.house import House, signed_in
from tests.triggers import break_the_trail, mend_the_trail


def everything() -> list[object]:
    """All rows that an administrator can change."""
    models = (Person, Team, Team.members.through, Library, Grant, Engine, AuditEvent)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


def test_nobody_signs_in(house: House) -> None:
    break_the_trail()
    client = Client(raise_request_exception=False)
    response = client.post("/sign-in", {"username": house.reader.username, "password": PASSWORD})
    assert response.status_code == 503
    assert "nothing was done" in response.content.decode()
    assert client.get("/profile").status_code == 302


def test_a_failed_sign_in_is_not_passed_over(house: House) -> None:
    break_the_trail()
    client = Client(raise_request_exception=False)
    assert client.post("/sign-in", {"username": house.reader.username, "password": "no"}).status_code == 503


def test_nobody_signs_out(house: House) -> None:
    client = signed_in(house.reader)
    break_the_trail()
    assert client.post("/sign-out").status_code == 503
    assert client.get("/profile").status_code == 200


def test_no_password_changes(house: House) -> None:
    client = signed_in(house.reader)
    break_the_trail()
    new = "another sentence entirely"
    data = {"old": PASSWORD, "new": new, "again": new}
    assert client.post("/profile/password", data).status_code == 503
    assert Person.objects.get(pk=house.reader.pk).check_password(PASSWORD)
    assert client.get("/profile").status_code == 200


ADMINISTRATION = {
    "create-person": ({}, {"name": "N", "username": "n", "roles": ["staff"], "clearance": "1"}),
    "person": ({"person_id": "reader"}, {"roles": ["curator"], "clearance": "2"}),
    "reset-password": ({"person_id": "reader"}, {}),
    "deactivate-person": ({"person_id": "reader"}, {}),
    "activate-person": ({"person_id": "reader"}, {}),
    "create-team": ({}, {"name": "South"}),
    "delete-team": ({"team_id": "team"}, {}),
    "add-member": ({"team_id": "team"}, {"person": "clerk"}),
    "remove-member": ({"team_id": "team", "person_id": "reader"}, {}),
    "set-quotes-only": ({}, {"quotes_only": "1"}),
    "create-library": ({}, {"name": "New", "label": "1"}),
    "library-settings": ({"library_id": "library"}, {"name": "Other", "label": "2"}),
    "delete-library": ({"library_id": "library"}, {"name": "Handbook"}),
    "give-access": ({"library_id": "library"}, {"to": "everybody", "level": "1"}),
    "revoke-access": ({"grant_id": "grant"}, {}),
    "set-budget": ({}, {"budget": "900"}),
}


@pytest.mark.parametrize("name", ADMINISTRATION)
def test_no_act_of_administration_happens(house: House, name: str) -> None:
    team = Team.objects.create(tenant=house.tenant, name="North")
    team.members.add(house.reader)
    Engine.objects.create(model="small", facts={"context": 4096}, budget=600)
    given = {
        "reader": house.reader.pk,
        "clerk": house.clerk.pk,
        "team": team.pk,
        "library": house.library.pk,
        "grant": Grant.objects.filter(library=house.library)[0].pk,
    }
    arguments, data = ADMINISTRATION[name]
    url = reverse(name, kwargs={key: given[value] for key, value in arguments.items()})
    data = {key: given.get(value, value) if isinstance(value, str) else value for key, value in data.items()}
    client = signed_in(make_person(house.tenant, roles=[Role.SITE_ADMIN]))
    before = everything()
    break_the_trail()
    assert client.post(url, data).status_code == 503
    assert everything() == before
    mend_the_trail()
    assert client.post(url, data).status_code in {200, 302}
    assert everything() != before


@pytest.mark.parametrize("page", ["/desk/", "/desk/trail", "/console/"])
def test_nobody_looks_unseen(house: House, page: str) -> None:
    role = Role.OFFICER if page.startswith("/desk") else Role.SITE_ADMIN
    client = signed_in(make_person(house.tenant, roles=[role]))
    assert client.get(page).status_code == 200
    break_the_trail()
    response = client.get(page)
    assert response.status_code == 503
    assert "opened the trail" not in response.content.decode()


def test_a_refusal_that_cannot_be_recorded_is_503_too(house: House) -> None:
    client = signed_in(house.reader)
    assert client.get("/desk/").status_code == 403
    break_the_trail()
    assert client.get("/desk/").status_code == 503


def test_a_script_is_told_by_code(house: House) -> None:
    client = signed_in(house.reader)
    break_the_trail()
    response = client.post("/sign-out", headers={"accept": "application/json"})
    assert response.json()["code"] == "audit_unavailable"
