"""What people do on the pages, in the words that they see."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

# Milliseconds. The machine may be busy with other tests; what is waited for is always something exact.
LONG = 60_000

# The small model answers this at length, so that there is something to see on the way.
LONG_QUESTION = "Write a very long list of all rules about incidents and explain each in detail."


def sign_in(page: Page, username: str, password: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("Sign-in name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def change_password(page: Page, old: str, new: str) -> None:
    page.get_by_label("Present password").fill(old)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password again").fill(new)
    page.get_by_role("button", name="Save password").click()


def ask(page: Page, question: str) -> Locator:
    """Ask, and give the turn on the page of its conversation."""
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.wait_for_url("**/conversations/**")
    return newest_turn(page)


def newest_turn(page: Page) -> Locator:
    turn = page.get_by_role("article").last
    expect(turn).to_be_visible()
    return turn


def live_words(turn: Locator) -> Locator:
    """The words of an answer that is still being written; gone when it is finished."""
    return turn.locator("[data-turn-live]")


def finished_words(turn: Locator) -> Locator:
    return turn.locator("[data-answer-words]")


def source_cards(turn: Locator) -> Locator:
    return turn.get_by_role("list", name="Passages found").get_by_role("link")


def wait_until_writing(turn: Locator) -> None:
    expect(live_words(turn)).to_have_text(re.compile(r"\S"))


def wait_until_finished(turn: Locator) -> None:
    expect(turn.locator("[data-turn-answer]")).to_have_attribute("aria-busy", "false")
    expect(turn.locator("[data-turn-status]")).to_have_count(0)


def document_panel(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Document")


def marked_boxes(panel: Locator) -> list[dict[str, float]]:
    """The marks on a page picture as they lie on the screen, relative to the picture, from 0 to 1."""
    picture = panel.get_by_role("img").first
    expect(picture).to_have_js_property("complete", True)
    assert picture.evaluate("image => image.naturalWidth") > 0
    return list(
        panel.locator(".sheet").evaluate(
            """sheet => {
                const page = sheet.querySelector('img').getBoundingClientRect();
                return [...sheet.querySelectorAll('rect')].map((rect) => {
                    const box = rect.getBoundingClientRect();
                    return {
                        left: (box.left - page.left) / page.width,
                        right: (box.right - page.left) / page.width,
                        top: (box.top - page.top) / page.height,
                        bottom: (box.bottom - page.top) / page.height,
                    };
                });
            }"""
        )
    )


def choose_files(page: Page, *files: Path) -> None:
    page.locator("#files").set_input_files([str(file) for file in files])


def drop_files(page: Page, *files: tuple[str, str]) -> None:
    """Drop files of these names and texts on the page, as from a folder."""
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, text] of files) transfer.items.add(new File([text], name));
            return transfer;
        }""",
        [list(file) for file in files],
    )
    page.locator(".drop").dispatch_event("drop", {"dataTransfer": transfer})


def in_work(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name="In work").locator(".work", has_text=name)


def row_of(page: Page, name: str) -> Locator:
    """The row of a published document."""
    return page.get_by_role("region", name="Documents").get_by_role("row", name=re.compile(re.escape(name)))
