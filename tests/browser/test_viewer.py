"""From a source to its words in the document, and back."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.hands import ask, document_panel, finished_words, marked_boxes, newest_turn, source_cards


@pytest.fixture
def sources(staff: Page, answered: str) -> Page:
    """An answer with its sources."""
    staff.goto(answered)
    return staff


def test_a_source_opens_the_page_with_its_words_marked(sources: Page) -> None:
    card = source_cards(sources.get_by_role("article")).filter(has_text="incident-reporting.pdf").first
    page_label = card.locator(".where").inner_text()
    card.click()
    panel = document_panel(sources)
    expect(panel.get_by_role("heading", name="incident-reporting.pdf")).to_be_focused()
    expect(panel.get_by_text(f"Page {page_label.removeprefix('p. ').split()[0]} of 2")).to_be_visible()
    expect(card).to_have_attribute("aria-current", "true")
    boxes = marked_boxes(panel)
    assert boxes
    for box in boxes:
        assert 0 <= box["left"] < box["right"] <= 1, box
        assert 0 <= box["top"] < box["bottom"] <= 1, box
    expect(panel.locator("rect.best").first).to_be_in_viewport()
    marked = card.locator("mark").inner_text().split()[0]
    panel.get_by_text("The words of this page").click()
    expect(panel.locator(".page-words").first).to_contain_text(marked)


def test_a_source_without_pages_opens_at_its_marked_words(staff: Page) -> None:
    turn = ask(staff, "How long must a password be, and how many characters has it?")
    card = source_cards(turn).filter(has_text="it-security.md").first
    words = card.locator("mark").inner_text()
    card.click()
    mark = document_panel(staff).locator("mark.best").first
    expect(mark).to_be_in_viewport()
    expect(mark).to_contain_text(words.split()[0])


def uncited(page: Page) -> Locator:
    """A source that the answer does not cite, nor the next: from it one steps through all sources."""
    links = finished_words(newest_turn(page)).locator("a.cite")
    cited = set(links.evaluate_all("links => links.map((link) => Number(link.dataset.n))"))
    cards = source_cards(newest_turn(page))
    first = next(n for n in range(1, cards.count()) if not {n, n + 1} & cited)
    return cards.nth(first - 1)


def test_arrow_keys_step_and_escape_closes_and_gives_the_focus_back(sources: Page) -> None:
    card = uncited(sources)
    n = int(card.get_attribute("data-n") or 0)
    card.click()
    panel = document_panel(sources)
    place = panel.get_by_text(re.compile(r"^Citation \d+ of \d+$"))
    expect(place).to_have_text(re.compile(f"^Citation {n} "))
    sources.keyboard.press("ArrowDown")
    expect(place).to_have_text(re.compile(f"^Citation {n + 1} "))
    sources.keyboard.press("ArrowUp")
    expect(place).to_have_text(re.compile(f"^Citation {n} "))
    sources.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(card).to_be_focused()


def test_a_source_opened_in_a_tab_of_its_own_is_a_whole_page(sources: Page) -> None:
    card = uncited(sources)
    address, n = card.get_attribute("href"), int(card.get_attribute("data-n") or 0)
    assert address
    sources.goto(address)
    expect(sources.get_by_role("main").get_by_role("heading", level=1)).to_be_visible()
    sources.keyboard.press("ArrowDown")
    expect(sources.get_by_text(re.compile(f"^Citation {n + 1} of"))).to_be_visible()


def test_pages_are_turned_on_the_document_s_own_page(staff: Page) -> None:
    staff.goto("/libraries/handbook/")
    staff.get_by_role("link", name="incident-reporting.pdf").click()
    expect(staff.get_by_text("Page 1 of 2")).to_be_visible()
    staff.keyboard.press("ArrowRight")
    expect(staff.get_by_text("Page 2 of 2")).to_be_visible()
    staff.get_by_role("link", name="Page before").click()
    expect(staff.get_by_text("Page 1 of 2")).to_be_visible()


def test_the_original_is_downloaded_under_its_name(staff: Page) -> None:
    staff.goto("/libraries/handbook/")
    staff.get_by_role("link", name="incident-reporting.pdf").click()
    with staff.expect_download() as download:
        staff.get_by_role("link", name="Original").click()
    assert download.value.suggested_filename == "incident-reporting.pdf"
    assert download.value.path().read_bytes().startswith(b"%PDF-")
