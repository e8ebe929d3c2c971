"""Files on their way into a library, as the person who sends them sees it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Watch
from tests.browser.hands import choose_files, drop_files, in_work, row_of
from tests.ingest.make import pdf, word

Enter = Callable[[Page, str], Page]
# More than one part, so that a connection can break between two.
PART = 4 * 1024 * 1024


@pytest.fixture
def shelf(
    page: Page, signed_in: Enter, new_library: Callable[..., str], request: pytest.FixtureRequest
) -> Page:
    """An empty library, open before somebody who may add to it."""
    slug = new_library(request.node.name.replace("_", " ").capitalize()[:100], "staff")
    signed_in(page, "staff").goto(f"/libraries/{slug}/")
    expect(page.get_by_text("No documents yet")).to_be_visible()
    return page


def small_pdf(path: Path, words: str) -> Path:
    path.write_bytes(pdf([[(72, 760, 12, words)], [(72, 760, 12, "The second page says more.")]]))
    return path


def test_chosen_files_are_seen_on_their_way_and_end_in_the_list_without_a_reload(
    shelf: Page, tmp_path: Path
) -> None:
    report, leave = small_pdf(tmp_path / "report.pdf", "The pump failed at noon."), tmp_path / "leave.docx"
    word(leave)
    shelf.evaluate("window.notReloaded = true")
    choose_files(shelf, report, leave)
    expect(in_work(shelf, "report.pdf")).to_be_visible()
    for name in ("report.pdf", "leave.docx"):
        expect(row_of(shelf, name)).to_be_visible()
        expect(in_work(shelf, name)).to_have_count(0)
    expect(row_of(shelf, "report.pdf")).to_contain_text("2")
    assert shelf.evaluate("window.notReloaded")


def test_dropped_files_are_taken_and_can_be_opened(shelf: Page) -> None:
    drop_files(shelf, ("key.txt", "The key to the boiler room hangs behind the door."))
    row_of(shelf, "key.txt").get_by_role("link", name="key.txt").click()
    expect(shelf.get_by_role("heading", name="key.txt")).to_be_visible()
    expect(shelf.get_by_text("hangs behind the door")).to_be_visible()


def test_a_broken_file_says_what_to_do_and_the_others_go_on(shelf: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and nothing else")
    choose_files(shelf, broken, small_pdf(tmp_path / "good.pdf", "All is well."))
    expect(row_of(shelf, "good.pdf")).to_be_visible()
    expect(in_work(shelf, "broken.pdf")).to_contain_text("Save it again in the program that made it")

    in_work(shelf, "broken.pdf").get_by_role("button", name="Remove broken.pdf").click()
    expect(in_work(shelf, "broken.pdf")).to_have_count(0)


def test_an_empty_file_is_refused_before_it_is_sent(shelf: Page, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    choose_files(shelf, empty)
    expect(in_work(shelf, "empty.txt")).to_contain_text("The file is empty. Choose another.")


def test_an_upload_goes_on_where_it_was_after_the_connection_broke(
    shelf: Page, watch: Watch, tmp_path: Path
) -> None:
    watch.lost_connections = True
    large = small_pdf(tmp_path / "large.pdf", "A large file.")
    large.write_bytes(large.read_bytes() + b"\n%" + b" " * PART)
    sent: list[str] = []
    broken: list[str] = []

    def break_the_second_part_once(route: Route) -> None:
        offset = route.request.headers.get("upload-offset", "")
        if route.request.method == "PATCH" and offset != "0" and not broken:
            broken.append(offset)
            route.abort("connectionreset")
            return
        if route.request.method == "PATCH":
            sent.append(offset)
        route.continue_()

    shelf.route(re.compile(r"/uploads/"), break_the_second_part_once)
    choose_files(shelf, large)
    expect(row_of(shelf, "large.pdf")).to_be_visible()
    assert broken == [str(PART)]
    assert sent == ["0", str(PART)], "the first part was not sent again"


def test_a_file_over_the_limit_is_told_before_a_byte_is_sent(shelf: Page) -> None:
    requests: list[str] = []
    shelf.on("request", lambda request: requests.append(request.method))
    shelf.locator(".drop").evaluate("zone => zone.dataset.limit = '10'")
    drop_files(shelf, ("long.txt", "More than ten bytes."))
    expect(in_work(shelf, "long.txt")).to_contain_text("Split it and upload the parts.")
    assert "POST" not in requests


def test_a_reader_sees_no_way_to_upload(page: Page, signed_in: Enter, new_person: Callable[..., str]) -> None:
    signed_in(page, new_person()).goto("/libraries/handbook/")
    expect(page.get_by_role("heading", name="Handbook")).to_be_visible()
    expect(page.get_by_role("button", name="Upload", exact=True)).to_have_count(0)
    expect(page.locator("input[type=file]")).to_have_count(0)
