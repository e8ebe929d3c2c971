"""Everything that matters without a mouse, and on a telephone."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.hands import LONG_QUESTION, ask, document_panel, newest_turn, source_cards
from tests.running import PASSPHRASE, RunningHouse

Enter = Callable[[Page, str], Page]


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _step in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached with the Tab key")


def test_sign_in_ask_open_a_source_and_close_it_with_keys_alone(
    page: Page, house: RunningHouse, new_person: Callable[..., str], handbook: None
) -> None:
    who = new_person()
    keys = page.keyboard
    page.goto("/sign-in")
    expect(page.get_by_label("Sign-in name")).to_be_focused()
    keys.type(who)
    keys.press("Tab")
    keys.type(house.passwords[who])
    keys.press("Enter")
    expect(page.get_by_label("Present password")).to_be_focused()
    for word in (house.passwords[who], PASSPHRASE, PASSPHRASE):
        keys.type(word)
        keys.press("Tab")
    keys.press("Enter")

    expect(page.get_by_label("Your question")).to_be_focused()
    keys.type(LONG_QUESTION)
    keys.press("Enter")
    card = source_cards(newest_turn(page)).first
    expect(card).to_be_visible()
    tab_to(page, card)
    keys.press("Enter")
    expect(document_panel(page).locator("[data-viewer-title]")).to_be_focused()
    keys.press("Escape")
    expect(document_panel(page)).to_be_hidden()
    expect(card).to_be_focused()

    keys.press("2")
    expect(document_panel(page)).to_be_visible()
    keys.press("Escape")
    keys.press("n")
    expect(page.get_by_role("heading", name="What do you want to know?")).to_be_visible()


def test_single_keys_can_be_switched_off(staff: Page) -> None:
    staff.goto("/documents/")
    staff.keyboard.press("?")
    keys = staff.get_by_role("dialog", name="Keys")
    keys.get_by_label("Single keys do something on this device").uncheck()
    keys.get_by_role("button", name="Close").click()
    staff.keyboard.press("?")
    expect(keys).to_be_hidden()


def test_on_a_telephone_the_rail_is_a_drawer_and_the_document_a_sheet(
    open_browser: Callable[..., BrowserContext], signed_in: Enter, handbook: None
) -> None:
    phone = signed_in(open_browser(390, 844, has_touch=True, is_mobile=True).new_page(), "staff")
    rail = phone.get_by_role("navigation", name="Main")
    expect(rail).not_to_be_in_viewport()
    phone.get_by_role("button", name="Menu").tap()
    expect(rail).to_be_in_viewport()
    rail.get_by_role("link", name="New question").tap()

    turn = ask(phone, LONG_QUESTION)
    cards = source_cards(turn)
    expect(cards.nth(1)).to_be_visible()
    row = turn.get_by_role("list", name="Passages found")
    assert row.evaluate("row => row.scrollWidth > row.clientWidth"), "sources scroll sideways"
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page does not"

    cards.first.tap()
    sheet = document_panel(phone)
    expect(sheet).to_be_in_viewport()
    box = sheet.bounding_box()
    assert box is not None and box["width"] >= 380
    sheet.get_by_role("button", name="Close the document").tap()
    expect(sheet).to_be_hidden()
    expect(turn).to_be_in_viewport()
