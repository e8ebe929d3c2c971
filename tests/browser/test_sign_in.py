"""The door: one-time passwords, wrong ones, and sessions that have ended."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import Watch
from tests.browser.hands import change_password, sign_in
from tests.running import PASSPHRASE, RunningHouse

Enter = Callable[[Page, str], Page]


def test_a_one_time_password_is_replaced_at_the_first_sign_in(
    page: Page, house: RunningHouse, new_person: Callable[..., str]
) -> None:
    username = new_person()
    once = house.passwords[username]
    sign_in(page, username, once)
    expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()

    page.goto("/documents/")
    expect(page.get_by_role("heading", name="Choose your own password")).to_be_visible()

    change_password(page, once, PASSPHRASE)
    expect(page.get_by_role("heading", name="What do you want to know?")).to_be_visible()
    expect(page.get_by_role("status").get_by_text("Your password is changed.")).to_be_visible()

    page.get_by_role("button", name="Sign out").click()
    sign_in(page, username, PASSPHRASE)
    expect(page.get_by_role("heading", name="What do you want to know?")).to_be_visible()


def test_a_new_password_that_is_too_short_is_refused_with_a_sentence(
    page: Page, house: RunningHouse, watch: Watch, new_person: Callable[..., str]
) -> None:
    watch.expected = {422}
    username = new_person()
    sign_in(page, username, house.passwords[username])
    change_password(page, house.passwords[username], "short")
    expect(page.get_by_role("alert")).to_contain_text("12 characters")


def test_a_wrong_password_says_what_to_do_and_nothing_about_the_name(page: Page, watch: Watch) -> None:
    watch.expected = {422}
    for name in ("staff", "nobody-of-that-name"):
        sign_in(page, name, "certainly not this one")
        expect(page.get_by_role("alert")).to_have_text(
            "Name or password is not right. Try again, or ask your administrator."
        )
    expect(page).to_have_url(re.compile("/sign-in$"))


def test_an_ended_session_leads_to_the_sign_in_page_and_back(
    page: Page, house: RunningHouse, new_person: Callable[..., str], signed_in: Enter
) -> None:
    who = new_person()
    signed_in(page, who)
    page.context.clear_cookies(name="muniment")
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_text("Sign in to see that page.")).to_be_visible()

    page.get_by_label("Sign-in name").fill(who)
    page.get_by_label("Password").fill(house.passwords[who])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Search", level=1)).to_be_visible()


def test_a_session_that_ended_elsewhere_is_told_in_the_middle_of_asking(
    staff: Page, watch: Watch, house: RunningHouse
) -> None:
    watch.expected = {401}
    staff.context.add_cookies([{"name": "muniment", "value": "x" * 32, "url": house.url}])
    staff.get_by_label("Your question").fill("Who is told first?")
    staff.get_by_role("button", name="Ask", exact=True).click()
    expect(staff.get_by_text("Your session has ended. Sign in again to go on.")).to_be_visible()
