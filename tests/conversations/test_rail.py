"""The rail beside every page: what it shows to whom, and what it costs."""

from __future__ import annotations

import pytest
from django.test import Client

from muniment.accounts.models import Person
from muniment.scope import Label, Role
from tests.factories import make_document, make_library, make_person, make_tenant
from tests.house import House, make_house, signed_in

NAV = {
    Role.STAFF: {"Documents", "Search"},
    Role.CURATOR: {"Documents", "Search"},
    Role.TENANT_ADMIN: {"People", "Teams", "Libraries", "Folders"},
    Role.SITE_ADMIN: {"People", "Teams", "Libraries", "Folders", "Health", "Models", "Sovereignty"},
    Role.OFFICER: {"Desk", "Trail"},
}


@pytest.fixture
def rail_house(db: None) -> House:
    return make_house()


def shell(person: Person, page: str = "/profile") -> dict[str, object]:
    return signed_in(person).get(page).context["shell"]


@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_its_pages(rail_house: House, role: Role) -> None:
    nav = shell(make_person(rail_house.tenant, roles=[role]))["nav"]
    assert {item["label"] for item in nav} == NAV[role]


@pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.SITE_ADMIN])
def test_an_administrator_who_reads_a_library_has_its_pages_too(rail_house: House, role: Role) -> None:
    admin = make_person(rail_house.tenant, roles=[role])
    make_library(rail_house.tenant, "Plans", readers=[admin])
    nav = shell(admin)["nav"]
    assert {item["label"] for item in nav} == NAV[role] | {"Documents", "Search"}


def test_libraries_with_the_number_of_documents_this_person_sees(rail_house: House) -> None:
    make_library(rail_house.tenant, "Closed")
    make_library(make_tenant(), "Foreign")
    make_document(rail_house.library, "one.txt")
    make_document(rail_house.library, "secret.txt", label=Label.SECRET)
    (library,) = shell(rail_house.reader)["libraries"]
    assert (library["name"], library["url"], library["count"]) == ("Handbook", "/libraries/handbook/", 1)


def test_the_present_page_is_marked(rail_house: House) -> None:
    admin = make_person(rail_house.tenant, roles=[Role.SITE_ADMIN])
    url = f"/console/people/{rail_house.reader.id}"
    current = [item["label"] for item in shell(admin, url)["nav"] if item["current"]]
    assert current == ["People"]


def test_an_officer_has_no_questions_and_no_libraries(rail_house: House) -> None:
    rail = shell(make_person(rail_house.tenant, roles=[Role.OFFICER]))
    assert (rail["ask_url"], rail["libraries"], rail["questions"], rail["home_url"]) == ("", [], [], "/desk/")


def test_initials(rail_house: House) -> None:
    for name, initials in {"Mara von Kessel": "MK", "cher": "C", "Ana Li": "AL"}.items():
        Person.objects.filter(pk=rail_house.reader.pk).update(name=name)
        assert shell(Person.objects.get(pk=rail_house.reader.pk))["person"]["initials"] == initials


def test_many_libraries_cost_no_more_queries(
    rail_house: House, django_assert_max_num_queries: object
) -> None:
    for number in range(20):
        make_document(make_library(rail_house.tenant, f"Library {number}", readers=[rail_house.reader]))
    client = signed_in(rail_house.reader)
    with django_assert_max_num_queries(8):  # type: ignore[operator]  # a fixture of pytest-django
        client.get("/profile")


def test_pages_without_the_rail_do_not_ask_for_it(
    rail_house: House, django_assert_num_queries: object
) -> None:
    client = signed_in(rail_house.reader)
    with django_assert_num_queries(3):  # type: ignore[operator]  # session, person, grants
        client.get("/profile/password")


def test_nobody_has_a_rail(db: None) -> None:
    assert "shell" not in Client().get("/sign-in").context
