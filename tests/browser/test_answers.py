"""What people do with an answer: save it, ask further, say what was not right; who looks after it listens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.hands import newest_turn
from tests.browser.test_looks import shots
from tests.browser.test_quality import look
from tests.running import RunningHouse

__all__ = ["shots"]

HARBOUR = """# Closing

The harbour closes at nine in the evening. Ships that come later wait outside until morning.

# Night watch

The night watch reports to the harbour master at six, and lets nobody in before that.
"""


def test_an_answer_is_saved_asked_on_and_found_not_right(
    house: RunningHouse,
    page: Page,
    chromium: Browser,
    open_browser: Callable[..., BrowserContext],
    signed_in: Callable[[Page, str], Page],
    new_person: Callable[..., str],
    new_library: Callable[..., str],
    tmp_path: Path,
    shots: Path,
) -> None:
    asker, curator = new_person(), new_person("curator")
    library = new_library("Port rules", asker, curator)
    (tmp_path / "port.md").write_text(HARBOUR)
    signed_in(page, asker)
    house.manage("ingest", str(tmp_path / "port.md"), "--library", library, "--as", asker, "--wait")
    call = f"from tests.browser.planting import answer; answer({asker!r}, {library!r}, 'It closes at ten.')"
    planted = json.loads(house.manage("shell", "--no-imports", "-c", call).stdout)
    page.goto(f"/conversations/{planted['conversation']}/")
    turn = newest_turn(page)

    turn.get_by_text("Save", exact=True).click()
    look(page, shots, "answer-save")
    with page.expect_download() as download:
        turn.get_by_role("link", name="Page to print").click()
    read_without_a_site(chromium, download.value.path().rename(tmp_path / "saved.html"), shots)
    with page.expect_download() as download:
        turn.get_by_role("link", name="Markdown").click()
    assert "generated-by" in download.value.path().read_text()

    suggestion = turn.get_by_role("group", name="Ask further").get_by_role("link").first
    suggestion.click()
    expect(page.get_by_label("Your question")).to_have_value("What does port say about Night watch?")

    turn.get_by_role("button", name="Not right").click()
    turn.get_by_label("What was not right?").fill("It is nine, not ten.")
    expect(turn.get_by_label("Let whoever looks after the library see it")).to_be_checked()
    look(page, shots, "answer-not-right")
    turn.get_by_role("button", name="Send").click()
    expect(turn.get_by_text("Whoever looks after the library can see it.")).to_be_visible()
    look(page, shots, "answer-shared")

    page.goto(f"/libraries/{library}/")
    page.get_by_role("link", name="port.md").first.click()
    page.get_by_text("Answers that cite this document").click()
    expect(page.get_by_role("row", name="When does the harbour close?")).to_be_visible()
    look(page, shots, "document-answers")

    listening = open_browser().new_page()
    signed_in(listening, curator)
    listening.goto("/console/quality/")
    listening.get_by_role("link", name=re.compile("answers? not right")).click()
    expect(listening.get_by_text("It is nine, not ten.")).to_be_visible()
    look(listening, shots, "quality-feedback")
    listening.get_by_role("button", name="Keep for measuring").first.click()
    expect(listening.get_by_role("dialog", name="Keep a question")).to_be_visible()


def read_without_a_site(chromium: Browser, file: Path, shots: Path) -> None:
    """As somebody opens it who got the file by mail: it has its looks, and asks for nothing."""
    asked: list[str] = []
    troubles: list[str] = []
    with chromium.new_context() as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: troubles.append(message.text))
        page.goto(file.as_uri())
        expect(page.get_by_text("Written by a machine (small-model)")).to_be_visible()
        expect(page.get_by_text("a number is not in the passages")).to_be_visible()
        assert page.locator("body").evaluate("body => getComputedStyle(body).maxWidth") == "704px"
        page.screenshot(path=shots / "saved-answer.png", full_page=True)
    assert asked == [file.as_uri()] and troubles == []
