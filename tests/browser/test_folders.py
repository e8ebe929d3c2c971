"""An administrator maps a folder, and what people put there is in the library."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.running import RunningHouse

Enter = Callable[[Page, str], Page]
# A look waits for files to settle.
LOOK_SECONDS = 30


@pytest.fixture
def office(page: Page, signed_in: Enter) -> Page:
    return signed_in(page, "admin")


@pytest.fixture
def share(house: RunningHouse) -> Path:
    place = house.shares / f"share-{secrets.token_hex(3)}"
    (place / "contracts").mkdir(parents=True)
    return place


def _look_until(house: RunningHouse, office: Page, text: str) -> None:
    """By hand, since the clock lets a minute pass between two looks."""
    until = time.monotonic() + LOOK_SECONDS
    while text not in office.locator("main").inner_text():
        assert time.monotonic() < until, office.locator("main").inner_text()
        house.manage("watch", "look")
        office.reload()


def _picture(office: Page, name: str) -> None:
    """For whoever wants to look: MUNIMENT_PICTURES names the folder."""
    if folder := os.environ.get("MUNIMENT_PICTURES"):
        office.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_mapped_folder_is_followed_and_says_what_it_could_not_read(
    house: RunningHouse, office: Page, share: Path, handbook: None
) -> None:
    (share / "contracts" / "lease.txt").write_text("The lease of the old mill ends in May 2031.")
    (share / "contracts" / "empty.pdf").touch()
    (share / "damaged.pdf").write_text("no PDF at all")
    (share / ".muniment").touch()
    office.goto("/console/folders/")
    _picture(office, "folders-empty")
    office.get_by_role("button", name="Map a folder").click()
    dialog = office.get_by_role("dialog")
    dialog.get_by_label("Library").select_option(label="Handbook")
    dialog.get_by_label("Folder", exact=True).fill(str(share))
    _picture(office, "folders-form")
    dialog.get_by_role("button", name="Map", exact=True).click()
    expect(office.get_by_role("heading", level=1)).to_have_text(str(share))
    expect(office.get_by_text("first look", exact=True)).to_be_visible()
    _look_until(house, office, "3 files")
    _look_until(house, office, "Save it again in the program")
    expect(office.get_by_role("row", name="contracts/empty.pdf")).to_contain_text("The file is empty")
    _picture(office, "folder")
    office.goto("/console/folders/")
    row = office.get_by_role("row", name=str(share))
    expect(row).to_contain_text("followed")
    _picture(office, "folders")
    office.goto("/libraries/handbook/")
    expect(office.get_by_role("link", name="contracts/lease.txt")).to_be_visible()
    _picture(office, "library")

    (share / "contracts" / "lease.txt").unlink()
    (share / "contracts" / "empty.pdf").unlink()
    (share / "damaged.pdf").unlink()
    office.goto("/console/folders/")
    office.get_by_role("link", name=str(share)).click()
    _look_until(house, office, "0 files")
    expect(office.get_by_text("Everything that was looked at could be read.")).to_be_visible()
    office.get_by_role("button", name="Pause").click()
    expect(office.get_by_text("paused", exact=True)).to_be_visible()
    office.get_by_role("button", name="Unmap").click()
    _picture(office, "folder-unmap")
    office.get_by_role("dialog").get_by_role("button", name="Unmap").click()
    expect(office.get_by_text("Its documents stay in the library.")).to_be_visible()
    expect(office.get_by_role("link", name=str(share))).to_have_count(0)
