"""A real browser before a whole installation. A page that complains, or asks elsewhere, fails its test."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.browser.hands import LONG, change_password, sign_in
from tests.running import PASSPHRASE, RunningHouse

CHROMIUM = os.environ.get("MUNIMENT_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    # Chromium's own sandbox does not start for root, which is who runs tests in a container.
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
expect.set_options(timeout=LONG)


@dataclass
class Watch:
    """What went wrong in a browser, unless the test said beforehand that it belongs to it."""

    origin: str
    expected: set[int] = field(default_factory=set)
    lost_connections: bool = False
    troubles: list[str] = field(default_factory=list)

    def over(self, context: BrowserContext) -> None:
        context.on("weberror", lambda error: self.troubles.append(f"page error: {error.error}"))
        context.on("console", self._console)
        context.on("request", lambda request: self._request(request.url))
        context.on("response", self._response)

    def _console(self, message: ConsoleMessage) -> None:
        # What did not load is seen better in the answers themselves.
        if message.text.startswith("Failed to load resource: the server responded with"):
            return
        if self.lost_connections and "net::ERR_" in message.text:
            return
        if message.type in {"error", "warning"}:
            self.troubles.append(f"console: {message.text}")

    def _request(self, url: str) -> None:
        if not url.startswith((self.origin + "/", "data:", "blob:")):
            self.troubles.append(f"asked elsewhere: {url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.troubles.append(f"{response.status} for {response.request.method} {response.url}")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def watch(house: RunningHouse) -> Iterator[Watch]:
    watch = Watch(house.url)
    yield watch
    assert not watch.troubles, "\n".join(watch.troubles)


@pytest.fixture
def open_browser(
    chromium: Browser, house: RunningHouse, watch: Watch
) -> Iterator[Callable[..., BrowserContext]]:
    """Starts a browser of its own: other cookies, other storage."""
    opened: list[BrowserContext] = []

    def start(width: int = 1280, height: int = 800, **options: Any) -> BrowserContext:
        size = ViewportSize(width=width, height=height)
        context = chromium.new_context(base_url=house.url, viewport=size, locale="en-GB", **options)
        context.set_default_timeout(LONG)
        watch.over(context)
        opened.append(context)
        return context

    yield start
    for context in opened:
        context.close()


@pytest.fixture
def page(open_browser: Callable[..., BrowserContext]) -> Page:
    return open_browser().new_page()


@pytest.fixture(scope="session")
def sessions() -> dict[str, list[Any]]:
    """Cookies of people who have signed in before, so that not every test pays for it."""
    return {}


@pytest.fixture
def signed_in(house: RunningHouse, sessions: dict[str, list[Any]]) -> Callable[[Page, str], Page]:
    """Signs somebody in on a page, which then shows their first page."""

    def enter(page: Page, who: str) -> Page:
        if who in sessions:
            page.context.add_cookies(sessions[who])
            page.goto("/")
            return page
        sign_in(page, who, house.passwords[who])
        if page.url.endswith("/profile/password"):
            change_password(page, house.passwords[who], PASSPHRASE)
            house.passwords[who] = PASSPHRASE
        sessions[who] = page.context.cookies()
        return page

    return enter


@pytest.fixture
def staff(page: Page, signed_in: Callable[[Page, str], Page], handbook: None) -> Page:
    return signed_in(page, "staff")


@pytest.fixture(scope="session")
def handbook(house: RunningHouse) -> None:
    """The sample documents have been read."""
    with closing(house.client("staff")) as client:
        until = time.monotonic() + 120
        while 'id="work-' in client.get("/libraries/handbook/").text:
            assert time.monotonic() < until, "the sample documents are not read"
            time.sleep(0.2)


@pytest.fixture(scope="session")
def answered(house: RunningHouse, handbook: None) -> str:
    """The address of a conversation of staff with one finished answer, for tests that only look at it."""
    with closing(house.client("staff")) as client:
        page = house.post(client, "/ask", question="Within which time is an incident reported?")
        until = time.monotonic() + 120
        while "data-events-url" in client.get(page.url).text:
            assert time.monotonic() < until, "the question is not answered"
            time.sleep(0.2)
    return page.url.path


@pytest.fixture(scope="session")
def admin(house: RunningHouse) -> Iterator[httpx.Client]:
    """For what a test needs to be there and is not about."""
    with closing(house.client("admin")) as client:
        yield client


@pytest.fixture
def new_person(house: RunningHouse, admin: httpx.Client) -> Callable[..., str]:
    """Adds somebody and gives their sign-in name; the one-time password is with the house's others."""

    def add(*roles: str) -> str:
        username = f"person-{secrets.token_hex(4)}"
        page = house.post(
            admin,
            "/console/people/create",
            name=username.title(),
            username=username,
            roles=list(roles or ("staff",)),
            clearance="1",
        ).text
        found = re.search(r'class="secret">([^<]+)<', page)
        assert found, page
        house.passwords[username] = found.group(1)
        return username

    return add


@pytest.fixture
def new_library(house: RunningHouse, admin: httpx.Client) -> Callable[..., str]:
    """Makes a library that these people may add to, and gives its slug."""

    def make(name: str, *people: str) -> str:
        page = house.post(admin, "/console/libraries/create", name=name, label="1")
        for username in people:
            option = re.search(rf'value="(person:[^"]+)"[^>]*>[^<]*\({username}\)', page.text)
            assert option, page.text
            house.post(admin, f"{page.url.path}/grants", to=option.group(1), level="2")
        found = re.search(r"<h1>[^<]+</h1><p>([a-z0-9-]+) ", page.text)
        assert found, page.text
        return found.group(1)

    return make
