"""Asking: sources first, then the words as they come, in every tab that looks on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.conftest import Watch
from tests.browser.hands import (
    LONG_QUESTION,
    ask,
    finished_words,
    live_words,
    newest_turn,
    source_cards,
    wait_until_finished,
    wait_until_writing,
)
from tests.running import SMALL_MODEL, RunningHouse

Enter = Callable[[Page, str], Page]


def growing(words: Locator) -> None:
    """Waits until more words are there than now."""
    have = len(words.inner_text())
    expect(words).to_have_text(re.compile(rf"[\s\S]{{{have + 1},}}"))


def test_sources_are_there_before_the_first_word_and_the_answer_grows(staff: Page) -> None:
    staff.add_init_script(
        """new MutationObserver(() => {
            const words = document.querySelector('[data-turn-live]')?.textContent;
            if (words && window.sourcesAtFirstWord === undefined)
                window.sourcesAtFirstWord = document.querySelectorAll('a.source').length;
        }).observe(document, { childList: true, subtree: true, characterData: true });"""
    )
    turn = ask(staff, LONG_QUESTION)
    expect(source_cards(turn).first).to_be_visible()
    expect(turn.locator("mark").first).to_be_visible()
    wait_until_writing(turn)
    assert staff.evaluate("window.sourcesAtFirstWord") > 0
    growing(live_words(turn))
    wait_until_finished(turn)
    expect(finished_words(turn)).to_have_text(re.compile(r"\S"))
    expect(turn.get_by_text(f"Written by a machine ({SMALL_MODEL})")).to_be_visible()


def test_a_reload_in_mid_answer_goes_on_and_ends_the_same(staff: Page, house: RunningHouse) -> None:
    turn = ask(staff, LONG_QUESTION)
    wait_until_writing(turn)
    with house.held("engine"):
        staff.reload()
        turn = newest_turn(staff)
        wait_until_writing(turn)
        expect(turn.get_by_role("button", name="Stop")).to_be_visible()
        expect(source_cards(turn).first).to_be_visible()
        before = live_words(turn).inner_text()
    growing(live_words(turn))
    wait_until_finished(turn)
    ended = finished_words(turn).inner_text()
    # As they come, words are plain; in the end they are set as Markdown.
    assert letters(ended).startswith(letters(before)[:20])
    staff.reload()
    assert finished_words(newest_turn(staff)).inner_text() == ended


def letters(words: str) -> str:
    return re.sub(r"[\W\d_]+", "", words)


def test_a_second_tab_shows_the_same_words(staff: Page, house: RunningHouse) -> None:
    first = ask(staff, LONG_QUESTION)
    wait_until_writing(first)
    other = staff.context.new_page()
    with house.held("engine"):
        other.goto(staff.url)
        second = newest_turn(other)
        wait_until_writing(second)
        expect(live_words(second)).to_have_text(live_words(first).inner_text())
    wait_until_finished(first)
    wait_until_finished(second)
    assert finished_words(first).inner_text() == finished_words(second).inner_text()


def test_who_leaves_the_tab_and_comes_back_misses_nothing(staff: Page) -> None:
    turn = ask(staff, LONG_QUESTION)
    wait_until_writing(turn)
    look_away(staff, hidden=True)
    look_away(staff, hidden=False)
    growing(live_words(turn))
    wait_until_finished(turn)
    shown = finished_words(turn).inner_text()
    staff.reload()
    assert finished_words(newest_turn(staff)).inner_text() == shown


def look_away(page: Page, hidden: bool) -> None:
    """What the browser does when another tab comes to the front."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, 'hidden', { configurable: true, get: () => hidden });
            document.dispatchEvent(new Event('visibilitychange'));
        }""",
        hidden,
    )


def test_words_are_not_doubled_when_the_connection_breaks(staff: Page, watch: Watch) -> None:
    watch.lost_connections = True
    turn = ask(staff, LONG_QUESTION)
    wait_until_writing(turn)
    staff.context.set_offline(True)
    staff.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(turn.get_by_text("The connection was lost.")).to_be_visible()
    staff.context.set_offline(False)
    wait_until_finished(turn)
    shown = finished_words(turn).inner_text()
    staff.reload()
    assert finished_words(newest_turn(staff)).inner_text() == shown


def test_stop_ends_the_answer_within_a_second(staff: Page) -> None:
    turn = ask(staff, LONG_QUESTION)
    wait_until_writing(turn)
    pressed = time.monotonic()
    turn.get_by_role("button", name="Stop").click()
    expect(turn.get_by_text("stopped before its end")).to_be_visible()
    # A second on a quiet machine; this one may be busy with other tests.
    assert time.monotonic() - pressed < 3
    wait_until_finished(turn)
    expect(turn.get_by_text("Written by a machine")).to_be_visible()


def test_four_tabs_with_answers_on_their_way_still_load_pages(staff: Page, house: RunningHouse) -> None:
    tabs = [staff, *(staff.context.new_page() for _ in range(3))]
    # Held from the start: on a quick machine the first answer would end before the last question is asked.
    with house.held("engine"):
        for tab in tabs:
            tab.goto("/")
            ask(tab, LONG_QUESTION)
        for tab in tabs:
            tab.get_by_role("button", name="Stop").click()
        fifth = staff.context.new_page()
        fifth.goto("/documents/", timeout=10_000)
        fifth.get_by_role("link", name="Handbook").last.click(timeout=10_000)
        expect(fifth.get_by_role("heading", name="Handbook")).to_be_visible(timeout=10_000)
    for tab in tabs:
        wait_until_finished(newest_turn(tab))


def test_a_further_question_is_answered_below_the_first(staff: Page) -> None:
    ask(staff, "Who is told first when an incident happens?")
    staff.get_by_role("button", name="Stop").click()
    wait_until_finished(newest_turn(staff))
    staff.get_by_label("Your question").fill("And at night?")
    staff.get_by_label("Your question").press("Enter")
    expect(staff.get_by_role("article")).to_have_count(2)
    expect(staff.get_by_label("Your question")).to_have_value("")
    wait_until_finished(newest_turn(staff))
    expect(newest_turn(staff).get_by_role("heading")).to_have_text("And at night?")


def test_a_thumb_down_asks_why(staff: Page) -> None:
    turn = ask(staff, "Who is told first when an incident happens?")
    wait_until_finished(turn)
    turn.get_by_role("button", name="Not right").click()
    turn.get_by_label("What was not right?").fill("It names nobody.")
    turn.get_by_role("button", name="Send").click()
    expect(turn.get_by_text("Noted, thank you.")).to_be_visible()


def test_a_question_over_the_limit_is_kept_and_the_limit_is_told(staff: Page, watch: Watch) -> None:
    watch.expected = {413, 422}
    long = "Who is told first? " * 5400
    field = staff.get_by_label("Your question")
    field.evaluate("(field, text) => { field.removeAttribute('maxlength'); field.value = text; }", long)
    staff.get_by_role("button", name="Ask", exact=True).click()
    expect(staff.get_by_role("alert")).to_contain_text("A question has at most 8000 characters")
    assert field.input_value() == long


def test_somebody_without_documents_is_told_why_nothing_can_be_asked(
    page: Page, signed_in: Enter, new_library: Callable[..., str], house: RunningHouse
) -> None:
    slug = new_library("An empty shelf", "staff")
    signed_in(page, "staff")
    empty = page.get_by_label("Where to look").get_by_role("option", name="An empty shelf (no documents yet)")
    expect(empty.first).to_be_disabled()
    page.goto(f"/libraries/{slug}/")
    expect(page.get_by_text("No documents yet")).to_be_visible()


def test_a_conversation_can_be_renamed_and_deleted(staff: Page) -> None:
    ask(staff, "What is the short version?")
    staff.get_by_role("button", name="Rename this conversation").click()
    staff.get_by_label("Title").fill("IT in short")
    staff.get_by_role("button", name="Save").click()
    rail = staff.get_by_role("navigation", name="Main")
    expect(rail.get_by_role("link", name="IT in short").first).to_be_visible()

    staff.get_by_role("button", name="Delete this conversation").click()
    staff.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(staff.get_by_text("The conversation was deleted.")).to_be_visible()


def test_another_person_sees_nothing_of_a_conversation(
    staff: Page,
    watch: Watch,
    signed_in: Enter,
    open_browser: Callable[..., BrowserContext],
    new_person: Callable[..., str],
) -> None:
    watch.expected = {404}
    ask(staff, "What is the short version?")
    other = signed_in(open_browser().new_page(), new_person())
    other.goto(staff.url)
    expect(other.get_by_role("heading", name="Nothing to see here")).to_be_visible()
