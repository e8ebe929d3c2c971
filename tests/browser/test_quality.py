"""A curator keeps a question, has it asked, and sees what was found."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.hands import LONG
from tests.browser.test_looks import WIDTHS, Eye, shots
from tests.running import RunningHouse

__all__ = ["shots"]


def test_a_kept_question_is_asked_and_its_page_is_found(
    house: RunningHouse,
    page: Page,
    signed_in: Callable[[Page, str], Page],
    new_person: Callable[..., str],
    new_library: Callable[..., str],
    tmp_path: Path,
    shots: Path,
) -> None:
    curator = new_person("curator")
    library = new_library("Harbour rules", curator)
    (tmp_path / "harbour.txt").write_text("The harbour closes at nine in the evening.")
    signed_in(page, curator)
    house.manage("ingest", str(tmp_path / "harbour.txt"), "--library", library, "--as", curator, "--wait")

    page.get_by_role("link", name="Quality").click()
    page.get_by_role("rowheader", name="Harbour rules").get_by_role("link").click()
    look(page, shots, "quality-empty")
    for question, document in (
        ("When does the harbour close?", "harbour.txt"),
        ("Who paints the harbour wall?", ""),
    ):
        page.get_by_role("button", name="Keep a question").click()
        dialog = page.get_by_role("dialog", name="Keep a question")
        dialog.get_by_label("Question").fill(question)
        dialog.get_by_label("Document that answers it").fill(document)
        look(page, shots, "quality-keep")
        dialog.get_by_role("button", name="Keep").click()
        expect(page.get_by_role("rowheader", name=question)).to_be_visible()
    for _run in range(2):
        page.get_by_role("button", name="Run").click()
        until = time.monotonic() + LONG / 1000
        while page.get_by_role("button", name="Run").count() == 0:
            assert time.monotonic() < until
            page.reload()
    look(page, shots, "quality-library")
    page.get_by_role("region", name="Runs").get_by_role("link").first.click()
    expect(page.get_by_role("row", name="When does the harbour close?")).to_contain_text(
        "harbour.txt, page 1"
    )
    expect(page.get_by_role("region", name="Since the run before")).to_contain_text("no change")
    look(page, shots, "quality-run")


def look(page: Page, folder: Path, what: str) -> None:
    """In light and wide, and in dark and narrow; what a machine can judge is judged."""
    for scheme, width in (("light", "wide"), ("dark", "narrow")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two words
        page.set_viewport_size(ViewportSize(width=WIDTHS[width][0], height=WIDTHS[width][1]))
        eye = Eye(f"{scheme}-{width}", folder, [])
        eye.look(page, what)
        assert not eye.flaws, "\n".join(eye.flaws)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(ViewportSize(width=WIDTHS["wide"][0], height=WIDTHS["wide"][1]))
