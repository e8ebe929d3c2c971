"""The administrator opens a library to a team, and its people see it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.running import RunningHouse

Enter = Callable[[Page, str], Page]


@pytest.fixture
def office(page: Page, signed_in: Enter) -> Page:
    return signed_in(page, "admin")


def add(office: Page, page: str, what: str, **fields: str) -> None:
    """Fill in the dialog that adds something."""
    office.goto(f"/console/{page}/")
    office.get_by_role("button", name=f"Add a {what}").click()
    dialog = office.get_by_role("dialog")
    for label, text in fields.items():
        dialog.get_by_label(label.replace("_", " ").replace("Sign in", "Sign-in"), exact=True).fill(text)
    dialog.get_by_role("button", name="Add", exact=True).click()


def test_a_new_person_in_a_new_team_sees_the_library_granted_to_it(
    office: Page, house: RunningHouse, signed_in: Enter, open_browser: Callable[..., BrowserContext]
) -> None:
    tag = secrets.token_hex(3)
    add(office, "people", "person", Name=f"Mara {tag}", Sign_in_name=f"mara-{tag}")
    expect(office.get_by_text("Password for the first sign-in")).to_be_visible()
    house.passwords[f"mara-{tag}"] = office.locator("code.secret").inner_text()

    add(office, "teams", "team", Name=f"Works council {tag}")
    office.get_by_label("Person").select_option(label=f"Mara {tag} (mara-{tag})")
    office.get_by_role("button", name="Add", exact=True).click()
    expect(office.get_by_role("link", name=f"Mara {tag}")).to_be_visible()

    add(office, "libraries", "library", Name=f"Agreements {tag}")
    office.get_by_label("To", exact=True).select_option(label=f"Works council {tag}")
    office.get_by_label("Right").select_option(label="may read, ask and upload")
    office.get_by_role("button", name="Grant").click()
    expect(office.get_by_role("region", name="Who can read it now")).to_contain_text(f"Mara {tag}")

    mara = signed_in(open_browser().new_page(), f"mara-{tag}")
    mara.get_by_role("link", name=re.compile(f"^Agreements {tag}")).click()
    expect(mara.get_by_role("heading", name=f"Agreements {tag}")).to_be_visible()
    expect(mara.get_by_role("button", name="Upload", exact=True)).to_be_visible()

    office.get_by_role("button", name=f"Withdraw from Works council {tag}").click()
    expect(office.get_by_text("Nobody may read this library yet.")).to_be_visible()
    mara.goto("/")
    expect(mara.get_by_role("navigation", name="Main")).not_to_contain_text(f"Agreements {tag}")


def test_health_says_in_one_sentence_whether_everything_works(office: Page) -> None:
    office.goto("/console/")
    expect(office.get_by_role("heading", level=1)).to_contain_text("Everything works")
    expect(office.get_by_role("region", name="Parts").get_by_text("Passage index")).to_be_visible()


def test_models_are_listed_with_their_licence(office: Page, handbook: None) -> None:
    office.goto("/console/models")
    expect(office.get_by_role("heading", name="Models", level=1)).to_be_visible()
    expect(office.get_by_text("Model files lie in")).to_be_visible()
