"""Searching with keys alone, narrowing, and without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Locator, Page, expect

Enter = Callable[[Page, str], Page]


def results(page: Page) -> Locator:
    return page.get_by_role("list", name="Documents found")


def test_results_are_walked_and_opened_with_keys_alone(staff: Page) -> None:
    staff.goto("/profile")
    keys = staff.keyboard
    keys.press("/")
    field = staff.get_by_label("Words")
    expect(field).to_be_focused()
    keys.type("within which time is an incident reported")
    keys.press("Enter")
    links = results(staff).get_by_role("link")
    expect(staff.get_by_role("status").filter(has_text="passages")).to_have_count(1)
    expect(field).to_be_focused()
    keys.press("ArrowDown")
    expect(links.nth(0)).to_be_focused()
    keys.press("j")
    expect(links.nth(1)).to_be_focused()
    keys.press("ArrowUp")
    expect(links.nth(0)).to_be_focused()
    keys.press("k")
    expect(field).to_be_focused()
    keys.press("ArrowDown")
    keys.press("Escape")
    expect(field).to_be_focused()
    keys.press("ArrowDown")
    keys.press("Enter")
    expect(staff.locator("[data-viewer-title]")).to_be_visible()
    staff.go_back()
    expect(field).to_have_value("within which time is an incident reported")
    expect(links.first).to_be_visible()


def test_a_chosen_filter_searches_at_once_and_is_in_the_address(staff: Page) -> None:
    staff.goto("/search?q=incident")
    kind = staff.get_by_label("Type")
    kind.focus()
    kind.select_option("pdf")
    expect(results(staff).get_by_role("heading")).to_have_count(1)
    expect(results(staff)).to_contain_text("incident-reporting.pdf")
    expect(kind).to_be_focused()
    expect(staff).to_have_url(re.compile(r"q=incident&.*kind=pdf"))
    staff.get_by_role("link", name="Not only PDF").click()
    expect(staff.get_by_label("Type")).to_have_value("")
    expect(results(staff)).to_contain_text("safety-committee-march-2026.html")
    staff.go_back()
    expect(staff.get_by_label("Type")).to_have_value("pdf")


def test_everything_works_without_scripts(
    open_browser: Callable[..., BrowserContext], signed_in: Enter, page: Page, handbook: None
) -> None:
    signed_in(page, "staff")
    plain = open_browser(java_script_enabled=False)
    plain.add_cookies(page.context.cookies())
    plain_page = plain.new_page()
    plain_page.goto("/search")
    plain_page.get_by_label("Words").fill('"annual leave"')
    plain_page.get_by_label("Library").select_option("handbook")
    plain_page.get_by_role("button", name="Search").click()
    expect(plain_page.locator("mark").first).to_have_text("Annual leave")
    plain_page.get_by_role("link", name="Not only Handbook").click()
    expect(plain_page.get_by_label("Words")).to_have_value('"annual leave"')
    results(plain_page).get_by_role("link").first.click()
    expect(plain_page.locator("[data-viewer-title]")).to_be_visible()
