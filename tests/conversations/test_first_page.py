"""Where people land: who has nothing to ask is taken to where they work."""

from __future__ import annotations

import pytest

from muniment.scope import Role
from tests.factories import make_library, make_person, make_tenant
from tests.house import signed_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("role", "page"),
    [
        (Role.OFFICER, "/desk/"),
        (Role.SITE_ADMIN, "/console/"),
        (Role.TENANT_ADMIN, "/console/people/"),
    ],
)
def test_who_has_no_library_lands_where_they_work(role: Role, page: str) -> None:
    person = make_person(make_tenant(), roles=[role])
    assert signed_in(person).get("/").headers["Location"] == page


def test_who_has_a_library_lands_on_the_question() -> None:
    tenant = make_tenant()
    person = make_person(tenant, roles=[Role.SITE_ADMIN])
    make_library(tenant, readers=[person])
    assert signed_in(person).get("/").status_code == 200


def test_staff_without_a_library_are_told_whom_to_ask() -> None:
    person = make_person(make_tenant())
    assert "Ask your administrator for access" in signed_in(person).get("/").content.decode()
