"""Nothing that others wrote runs, loads or leads away, on any page of the house.

A small server that nobody should reach listens beside the browser; the last tests show that it would hear.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from tests.accounts.test_routes import names
from tests.browser.conftest import Watch
from tests.browser.hands import document_panel
from tests.exfiltration import HTML, payloads, texts
from tests.running import RunningHouse

Enter = Callable[[Page, str], Page]
AUDIT = Path(__file__).with_name("audit.js").read_text()
PLANTED = "window.planted = () => console.error('planted code ran'); window.alert = window.planted;"
# Answers that a page of its own does not show: forms' targets, parts of pages, files, streams.
NO_PAGES = {
    *("health", "sign-out", "uploads", "upload", "library-rows", "library-events", "library-documents"),
    *("delete-document", "move-document", "relabel-document", "retry", "dismiss", "original", "picture"),
    *("ask", "turn", "stop-turn", "rate-turn", "ask-again", "turn-events", "set-budget", "revoke-access"),
    *("rename-conversation", "delete-conversation", "create-person", "reset-password", "deactivate-person"),
    *("activate-person", "create-team", "delete-team", "add-member", "remove-member", "create-library"),
    *("delete-library", "give-access", "keep-case", "remove-case", "start-run", "keep-question"),
    *("export-answer", "keep-feedback"),
    *("export-trail", "export-manifest", "event-proof"),
    *("map-folder", "pause-folder", "resume-folder", "confirm-folder", "unmap-folder"),
    "set-quotes-only",
}


class Sink:
    """Hears whoever comes to its port."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self.server.getsockname()[1]}"
        self.heard: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                client, _address = self.server.accept()
            except OSError:
                return
            # A connection is enough, whatever it would have said.
            self.heard.append("a connection")
            client.close()


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    sink = Sink()
    with closing(sink.server):
        yield sink


def plant(house: RunningHouse, sink: Sink, folder: Path, whole: bool = False) -> dict[str, Any]:
    call = f"from tests.browser.planting import main; main({sink.place!r}, {whole}, {str(folder)!r})"
    return dict(json.loads(house.manage("shell", "--no-imports", "-c", call).stdout))


@pytest.fixture(scope="module")
def planted(
    house: RunningHouse, handbook: None, sink: Sink, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return plant(house, sink, tmp_path_factory.mktemp("hostile"))


@pytest.fixture
def walk(
    sink: Sink,
    watch: Watch,
    open_browser: Callable[..., BrowserContext],
    signed_in: Enter,
) -> Iterator[Callable[[str], Walk]]:
    """Starts a walk as somebody; whatever ran, loaded or led away on it fails the test."""
    watch.expected = {404, 403, 422, 400}
    walks: list[Walk] = []

    def start(who: str) -> Walk:
        context = open_browser()
        context.add_init_script(PLANTED)
        context.on("dialog", lambda dialog: watch.troubles.append(f"dialog: {dialog.message}"))
        context.on("response", lambda response: require_policy(response, watch))
        page = context.new_page()
        walks.append(Walk(signed_in(page, who) if who else page))
        return walks[-1]

    yield start
    flaws = [flaw for walk in walks for flaw in walk.flaws]
    assert not flaws, "\n".join(flaws)
    assert sink.heard == []


def require_policy(response: Response, watch: Watch) -> None:
    if response.url.startswith(watch.origin) and "default-src 'none'" not in response.headers.get(
        "content-security-policy", ""
    ):
        watch.troubles.append(f"without a policy: {response.url}")


class Walk:
    def __init__(self, page: Page) -> None:
        self.page, self.flaws = page, list[str]()

    def to(self, path: str) -> Page:
        self.page.goto(path)
        self.look(path)
        return self.page

    def look(self, what: str) -> None:
        self.flaws += [f"{what}: {flaw}" for flaw in self.page.evaluate(AUDIT)]


def pages(ids: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Every page by who sees it and the route's name, at the hostile things."""

    def at(name: str, *arguments: object, query: str = "") -> str:
        return reverse(name, args=arguments) + query

    hostile = "?q=" + quote('"><img src=x onerror=planted()>')
    return {
        "": {"sign-in": [at("sign-in"), at("sign-in", query="?next=javascript:planted()")]},
        "staff": {
            "ask-page": [at("ask-page"), at("ask-page", query=f"?document={ids['documents'][0]}")],
            "documents": [at("documents")],
            "library": [at("library", ids["library"])],
            "search": [
                at("search"),
                at("search", query=hostile),
                at("search", query="?q=img+src+onerror+planted"),
            ],
            "conversations": [at("conversations"), at("conversations", query=hostile)],
            "conversation": [at("conversation", ids["conversation"])],
            "turn-source": [at("turn-source", ids["turn"], n) for n in range(1, 6)],
            "turn-receipt": [at("turn-receipt", ids["turn"])],
            "document": [at("document", document) for document in ids["documents"]],
            "document-answers": [at("document-answers", document) for document in ids["documents"]],
            "page": [at("page", ids["version"], 1), at("page", ids["version"], 1, query="?at=15000")],
            "profile": [at("profile")],
            "change-password": [at("change-password")],
        },
        "admin": {
            "console": [at("console")],
            "models": [at("models")],
            "sovereignty": [at("sovereignty")],
            "people": [at("people"), at("people", query=hostile)],
            "person": [at("person", ids["person"])],
            "teams": [at("teams")],
            "team": [at("team", ids["team"])],
            "libraries": [at("libraries")],
            "library-settings": [at("library-settings", ids["library_id"])],
            "folders": [at("folders")],
            "folder": [at("folder", ids["folder"])],
            "quality": [at("quality")],
            "quality-feedback": [at("quality-feedback")],
            "library-quality": [at("library-quality", ids["library_id"])],
            "run": [at("run", ids["run"])],
        },
        "officer": {
            "desk": [at("desk")],
            "witness": [at("witness")],
            "checkpoint": [at("checkpoint")],
            "trail-export": [at("trail-export"), at("trail-export", query="?object=%22%3E%3Cimg+src%3Dx%3E")],
            "trail": [at("trail"), at("trail", query="?who=%22%3E%3Cimg+src%3Dx%3E")],
        },
    }


def test_every_route_is_visited_or_shows_no_page(planted: dict[str, Any]) -> None:
    visited = {name for routes in pages(planted).values() for name in routes}
    assert visited | NO_PAGES == set(names())
    assert not visited & NO_PAGES


@pytest.mark.parametrize("who", ["", "staff", "admin", "officer"])
def test_on_no_page_does_anything_run_load_or_lead_away(
    who: str, walk: Callable[[str], Walk], planted: dict[str, Any]
) -> None:
    walking = walk(who)
    for paths in pages(planted)[who].values():
        for path in paths:
            walking.to(path)


def test_the_corpus_stands_in_answers_and_sources_as_words(
    walk: Callable[[str], Walk], planted: dict[str, Any], sink: Sink
) -> None:
    page = walk("staff").to(reverse("conversation", args=[planted["conversation"]]))
    answers = page.locator("[data-answer-words]")
    assert answers.count() == -(-len(payloads(sink.place)) // 40)
    words = " ".join(answers.all_inner_texts())
    assert words.count(f"http://{sink.place}/?q=words") > 100
    assert "<script>planted()</script>" in words
    expect(answers.first.locator("a.cite")).not_to_have_count(0)
    assert page.locator("a.source").count() >= 5
    assert f"http://{sink.place}" in " ".join(page.locator("a.source .words").all_inner_texts())


def test_words_that_arrive_one_by_one_are_words(walk: Callable[[str], Walk], planted: dict[str, Any]) -> None:
    walking = walk("staff")
    page = walking.to(reverse("conversation", args=[planted["live"]]))
    live = page.locator("[data-turn-live]")
    expect(live).to_contain_text("The last word.")
    expect(live).to_contain_text("<script>planted()</script>")
    walking.look("the live answer")


def test_a_panel_that_is_opened_shows_words(walk: Callable[[str], Walk], planted: dict[str, Any]) -> None:
    walking = walk("staff")
    page = walking.to(reverse("conversation", args=[planted["conversation"]]))
    for number in range(4):
        # Not a click of the mouse: the panel before may lie over it.
        page.locator("a.source").nth(number).dispatch_event("click")
        expect(document_panel(page).locator("[data-viewer-title]")).to_be_focused()
        walking.look(f"panel {number}")


def test_refusals_say_what_was_asked_for_as_words(
    walk: Callable[[str], Walk], planted: dict[str, Any], sink: Sink
) -> None:
    walking = walk("staff")
    for text in payloads(sink.place)[::25]:
        walking.to("/" + quote(text[:200], safe=""))
    walking.to("/libraries/handbook/?page=" + quote("'><script>planted()</script>"))


def test_events_of_the_trail_are_shown_as_words(walk: Callable[[str], Walk], planted: dict[str, Any]) -> None:
    walking = walk("officer")
    page = walking.to(reverse("trail"))
    for _page in range(3):
        older = page.get_by_role("link", name="Older")
        if not older.count():
            break
        older.click()
        page.wait_for_load_state()
        walking.look(page.url)


@pytest.mark.deep
def test_the_whole_corpus_does_nothing_either(
    walk: Callable[[str], Walk], house: RunningHouse, handbook: None, sink: Sink, tmp_path: Path
) -> None:
    ids = plant(house, sink, tmp_path, whole=True)
    for who, routes in pages(ids).items():
        walking = walk(who)
        for paths in routes.values():
            for path in paths:
                walking.to(path)


# Past the policy: they ask the browser for a connection or lead it away, which no directive forbids. Only
# that they never become elements keeps them harmless.
PAST_THE_POLICY = ("rel=preconnect", "rel=dns-prefetch", "rel=prerender", "http-equiv=refresh")


class Bare:
    def __init__(self, page: Page, heard: list[str]) -> None:
        self.flaws = page.evaluate(AUDIT)
        self.ran = page.evaluate("document.documentElement.lang") == "planted"
        self.heard = heard


Show = Callable[[str, dict[str, str]], Bare]


@pytest.fixture
def bare(
    chromium: Browser, house: RunningHouse, sink: Sink
) -> Iterator[Callable[[str, dict[str, str]], Bare]]:
    """Shows a page of the house's address with hostile code in it, under the headers given."""
    with chromium.new_context() as context:
        context.add_init_script("window.planted = () => { document.documentElement.lang = 'planted'; };")

        def show(html: str, headers: dict[str, str]) -> Bare:
            sink.heard.clear()
            page = context.new_page()
            answer = {"content-type": "text/html; charset=utf-8", **headers}
            page.route(f"{house.url}/bare", lambda route: route.fulfill(body=html, headers=answer))
            page.goto(f"{house.url}/bare", wait_until="load")
            page.wait_for_timeout(500)
            return Bare(page, list(sink.heard))

        yield show
        sink.heard.clear()


def _document(texts: list[str]) -> str:
    return "<!doctype html><html><body>" + "\n".join(f"<section>{text}</section>" for text in texts)


def _hostile(sink: Sink) -> str:
    url = f"http://{sink.place}/?q=words"
    every = [text.format(url=url, host=sink.place, run="planted()") for text in texts(HTML)]
    # Two would make one page of all the others, or plain text.
    left_out = (*PAST_THE_POLICY, "plaintext", "frameset")
    return _document([text for text in every if not any(word in text for word in left_out)])


def test_the_corpus_would_run_and_call_without_the_walls(bare: Show, sink: Sink) -> None:
    """The control of everything above."""
    shown = bare(_hostile(sink), {})
    assert shown.ran
    assert len(shown.heard) >= 5
    assert len(shown.flaws) >= 80


def test_where_hostile_elements_got_in_the_policy_would_hold(
    bare: Show, house: RunningHouse, sink: Sink
) -> None:
    with closing(house.client("staff")) as client:
        policy = client.get("/profile").headers["content-security-policy"]
    shown = bare(_hostile(sink), {"content-security-policy": policy})
    assert not shown.ran
    assert shown.heard == []


def test_what_no_policy_holds_is_found_by_the_look_at_the_page(bare: Show, sink: Sink) -> None:
    strict = {"content-security-policy": "default-src 'none'"}
    away = f"<meta http-equiv=refresh content='0;url=http://{sink.place}/'>"
    assert bare(_document([away]), strict).heard
    for text in (
        away,
        f"<link rel=preconnect href='http://{sink.place}'>",
        f"<link rel=dns-prefetch href='//{sink.place}'>",
    ):
        assert bare(_document([f"<template>{text}</template>"]), strict).flaws
