"""Every page in light and dark, wide and narrow: pictures for people, and what a machine can judge of them.

The pictures go to the folder that MUNIMENT_SHOTS names.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Watch
from tests.browser.hands import document_panel, newest_turn, source_cards

Enter = Callable[[Page, str], Page]
FLAWS = Path(__file__).with_name("looks.js").read_text()
WIDTHS = {"wide": (1280, 800), "narrow": (390, 844)}

PAGES = {
    "": ["/sign-in"],
    "staff": [
        "/",
        "/documents/",
        "/libraries/handbook/",
        "/search",
        "/search?q=incident+report",
        "/search?q=incident&library=handbook",
        "/conversations/",
        "/profile",
        "/profile/password",
        "/nothing-of-that-name",
    ],
    "admin": [
        "/console/",
        "/console/models",
        "/console/sovereignty",
        "/console/people/",
        "/console/teams/",
        "/console/libraries/",
        "/console/folders/",
    ],
    "officer": ["/desk/", "/desk/trail", "/desk/trail?outcome=denied"],
}


@dataclass
class Eye:
    """Looks at pages in one scheme and width, and keeps a picture of each."""

    name: str
    folder: Path
    flaws: list[str]

    def look(self, page: Page, what: str) -> None:
        for picture in page.get_by_role("img").filter(visible=True).all():
            expect(picture).to_have_js_property("complete", True)
        page.screenshot(path=self.folder / f"{what}-{self.name}.png", animations="disabled")
        self.flaws += [f"{what}: {flaw}" for flaw in page.evaluate(FLAWS)]


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    named = os.environ.get("MUNIMENT_SHOTS")
    folder = Path(named) if named else tmp_path_factory.mktemp("shots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(params=[(scheme, width) for scheme in ("light", "dark") for width in WIDTHS], ids="-".join)
def look(
    request: pytest.FixtureRequest, open_browser: Callable[..., BrowserContext], shots: Path
) -> tuple[BrowserContext, Eye]:
    scheme, width = request.param
    context = open_browser(*WIDTHS[width], color_scheme=scheme, reduced_motion="reduce")
    return context, Eye(f"{scheme}-{width}", shots, [])


@pytest.mark.parametrize("who", PAGES)
def test_pages_fit_and_can_be_read(
    look: tuple[BrowserContext, Eye], who: str, signed_in: Enter, handbook: None, watch: Watch
) -> None:
    watch.expected = {404}
    context, eye = look
    page = context.new_page()
    if who:
        signed_in(page, who)
    for path in PAGES[who]:
        page.goto(path)
        eye.look(page, name_of(who, path))
        if path.startswith("/console/") and path[9:].endswith("/"):
            first = page.get_by_role("rowheader").get_by_role("link").first
            if first.count():
                first.click()
                page.wait_for_load_state()
                eye.look(page, name_of(who, path) + "-one")
    assert not eye.flaws, "\n".join(eye.flaws)


def name_of(who: str, path: str) -> str:
    words = path.strip("/").replace("?", "-").replace("/", "-").replace("=", "-").replace("&", "-")
    return f"{who or 'nobody'}-{words or 'first'}"


def test_an_answer_and_its_document_fit_and_can_be_read(
    look: tuple[BrowserContext, Eye], signed_in: Enter, answered: str
) -> None:
    context, eye = look
    page = signed_in(context.new_page(), "staff")
    page.goto(answered)
    turn = newest_turn(page)
    eye.look(page, "answer")
    turn.scroll_into_view_if_needed()
    source_cards(turn).filter(has_text="incident-reporting").first.click()
    expect(document_panel(page).get_by_role("img").first).to_be_visible()
    eye.look(page, "answer-document")
    page.keyboard.press("Escape")
    if eye.name.endswith("narrow"):
        page.get_by_role("button", name="Menu").click()
        eye.look(page, "answer-menu")
        page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    eye.look(page, "keys")
    assert not eye.flaws, "\n".join(eye.flaws)


def test_a_document_on_a_page_of_its_own_fits_and_can_be_read(
    look: tuple[BrowserContext, Eye], signed_in: Enter, handbook: None
) -> None:
    context, eye = look
    page = signed_in(context.new_page(), "staff")
    for name in ("incident-reporting.pdf", "it-security.md", "travel-costs.xlsx"):
        page.goto("/libraries/handbook/")
        page.get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        page.wait_for_load_state()
        eye.look(page, f"document-{name.rsplit('.')[-1]}")
    assert not eye.flaws, "\n".join(eye.flaws)


def test_whoever_walks_with_the_tab_key_sees_where_they_are(staff: Page) -> None:
    for path in ("/", "/libraries/handbook/", "/search?q=incident"):
        staff.goto(path)
        staff.evaluate("document.activeElement.blur()")
        for _step in range(10):
            staff.keyboard.press("Tab")
            here = staff.evaluate(
                """() => {
                    const style = getComputedStyle(document.activeElement);
                    const html = document.activeElement.outerHTML;
                    return [html.slice(0, 120), style.outlineStyle, style.boxShadow];
                }"""
            )
            if here[0].startswith("<body"):
                break  # once around
            assert here[1] != "none" or here[2] != "none", f"{path}: {here[0]}"
