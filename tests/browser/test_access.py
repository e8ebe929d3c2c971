"""Things of others look as if they were not there; pages of other roles say that they are."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watch
from tests.running import RunningHouse

Enter = Callable[[Page, str], Page]


def seen(page: Page, path: str) -> tuple[int, str]:
    reply = page.goto(path)
    assert reply is not None
    return reply.status, page.get_by_role("main").inner_html()


def test_nobody_can_tell_closed_things_from_absent_ones(
    staff: Page, watch: Watch, new_library: Callable[..., str]
) -> None:
    watch.expected = {404}
    closed = new_library("Board minutes")
    absent = seen(staff, "/nothing-of-that-name")
    assert absent[0] == 404
    expect(staff.get_by_role("heading", name="Nothing to see here")).to_be_visible()
    for path in (
        f"/libraries/{closed}/",
        "/libraries/nowhere/",
        f"/documents/{uuid4()}",
        f"/conversations/{uuid4()}/",
        f"/turns/{uuid4()}/sources/1",
    ):
        assert seen(staff, path) == absent, path


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("staff", "/console/"),
        ("staff", "/desk/"),
        ("admin", "/desk/trail"),
        ("officer", "/console/people/"),
    ],
)
def test_pages_of_another_role_are_refused_with_a_sentence(
    page: Page, watch: Watch, signed_in: Enter, who: str, path: str
) -> None:
    watch.expected = {403}
    signed_in(page, who)
    assert seen(page, path)[0] == 403
    expect(page.get_by_text("Your role does not include this.")).to_be_visible()


@pytest.mark.parametrize(
    ("role", "heading"), [("officer", "Compliance desk"), ("staff", "What do you want to know?")]
)
def test_people_land_where_they_work(
    page: Page, signed_in: Enter, new_person: Callable[..., str], role: str, heading: str
) -> None:
    signed_in(page, new_person(role))
    expect(page.get_by_role("heading", name=heading)).to_be_visible()


def test_who_was_deactivated_is_signed_out_at_the_next_click(
    page: Page, signed_in: Enter, new_person: Callable[..., str], house: RunningHouse, admin: object
) -> None:
    who = new_person()
    signed_in(page, who)
    house.manage(
        "shell",
        "-c",
        f"""
from muniment.accounts.models import Person
from muniment.accounts.services import scope_of_person, set_active
from muniment.scope import Origin
admin = Person.objects.get(username="admin")
set_active(scope_of_person(admin, Origin(kind="cli")), Person.objects.get(username={who!r}).id, active=False)
""",
    )
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_text("Your session has ended. Sign in again to go on.")).to_be_visible()
