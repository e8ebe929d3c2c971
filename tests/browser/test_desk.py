"""The officer finds in the trail what people did."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Watch

Enter = Callable[[Page, str], Page]


@pytest.fixture
def desk(page: Page, signed_in: Enter) -> Page:
    return signed_in(page, "officer")


def test_the_desk_says_that_the_trail_is_kept_and_what_changed(desk: Page) -> None:
    expect(desk.get_by_role("heading", name="Compliance desk")).to_be_visible()
    expect(desk.get_by_role("heading", name="The trail is being kept")).to_be_visible()
    expect(desk.get_by_role("region", name="Newest events").get_by_role("row").nth(1)).to_be_visible()


def test_a_refusal_is_in_the_trail_and_filters_find_it(
    desk: Page,
    watch: Watch,
    signed_in: Enter,
    new_person: Callable[..., str],
    open_browser: Callable[..., BrowserContext],
) -> None:
    watch.expected = {403}
    who = new_person()
    curious = signed_in(open_browser().new_page(), who)
    curious.goto("/desk/")
    expect(curious.get_by_role("heading", name="This is not open to you")).to_be_visible()

    desk.get_by_role("link", name="Trail", exact=True).click()
    desk.get_by_label("Person").select_option(label=who.title())
    rows = desk.get_by_role("region", name="Events").locator("tbody tr")
    expect(rows.filter(has_text="signed in").first).to_be_visible()
    expect(rows.filter(has_not_text=who.title())).to_have_count(0)

    desk.get_by_label("Outcome").select_option(label="denied")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("denied")
    desk.reload()
    expect(rows).to_have_count(1)
    desk.get_by_role("link", name="Clear").click()
    expect(rows.nth(2)).to_be_visible()
