"""What every answer tells the browser, whatever it is: a page, a file, a stream, a refusal."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import httpx
import pytest
from django.contrib.staticfiles.finders import get_finders
from django.urls import reverse

from tests.accounts.test_routes import STREAMS, address, names
from tests.running import RunningHouse

METHODS = {
    "nobody": ("GET", "POST", "OPTIONS", "TRACE", "NONSENSE"),
    "staff": ("GET", "POST", "PUT"),
}
POLICY = {
    "default-src": {"'none'"},
    **{key: {"'self'"} for key in ("script-src", "style-src", "font-src", "connect-src", "form-action")},
    **{key: {"'none'"} for key in ("frame-ancestors", "base-uri", "object-src")},
    "img-src": {"'self'", "data:"},
}


@pytest.fixture(scope="module")
def staff(house: RunningHouse) -> Iterator[httpx.Client]:
    with closing(house.client("staff")) as client:
        client.follow_redirects = False
        yield client


@pytest.fixture(scope="module")
def nobody(house: RunningHouse) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=house.url) as client:
        yield client


def policy_of(answer: httpx.Response) -> dict[str, set[str]]:
    told = answer.headers.get_list("content-security-policy")
    assert len(told) == 1, (
        f"{answer.request.method} {answer.request.url}: {answer.status_code} without a policy"
    )
    parts = [part.split() for part in told[0].split(";")]
    return {part[0]: set(part[1:]) for part in parts if part}


def require_shut(answer: httpx.Response) -> None:
    where = f"{answer.request.method} {answer.request.url}: {answer.status_code}"
    assert policy_of(answer) == POLICY, where
    assert answer.headers["x-content-type-options"] == "nosniff", where
    assert answer.headers["referrer-policy"] == "same-origin", where
    assert answer.headers["cross-origin-opener-policy"] == "same-origin", where
    assert "link" not in answer.headers, where  # would fetch before the page is read
    assert answer.headers.get("x-dns-prefetch-control", "off") == "off", where


@pytest.mark.parametrize("who", METHODS)
def test_every_route_answers_every_method_with_the_policy(who: str, request: pytest.FixtureRequest) -> None:
    client: httpx.Client = request.getfixturevalue(who)
    statuses = set()
    for name in names():
        for method in METHODS[who]:
            if (name, method) == ("sign-out", "POST"):
                continue
            answer = client.request(method, address(name))
            require_shut(answer)
            statuses.add(answer.status_code)
    assert statuses >= ({200, 302, 403, 404, 405} if who == "staff" else {200, 302, 403, 405})


def test_every_static_file_has_the_policy(nobody: httpx.Client) -> None:
    files = [path for finder in get_finders() for path, _storage in finder.list([])]
    assert len(files) > 20
    for path in files:
        answer = nobody.get(f"/static/{path}")
        assert answer.status_code == 200, path
        require_shut(answer)
        require_shut(nobody.get(f"/static/{path}", headers={"If-None-Match": answer.headers["etag"]}))


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/static/no-such-file.js", {}),
        ("/static/../settings.py", {}),
        ("/nothing-of-that-name", {}),
        ("/console", {}),
        ("/%00", {}),
        ("/sign-in?next=//elsewhere.example", {}),
        ("/sign-in", {"Host": "elsewhere.example"}),
        ("/sign-in", {"Cookie": "muniment=nonsense"}),
        ("/sign-in", {"Content-Type": "multipart/form-data"}),
    ],
)
def test_what_is_refused_has_the_policy(nobody: httpx.Client, path: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        require_shut(nobody.request(method, path, headers=headers))


def test_a_body_that_is_too_large_is_refused_with_the_policy(staff: httpx.Client) -> None:
    answer = staff.post("/ask", content=b"question=" + b"x" * 5_000_000)
    assert answer.status_code >= 400
    require_shut(answer)


def test_a_stream_has_the_policy(house: RunningHouse, staff: httpx.Client) -> None:
    assert {"library-events", "turn-events"} == STREAMS
    with staff.stream("GET", reverse("library-events", args=["handbook"])) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        require_shut(answer)
    with staff.stream("GET", reverse("turn-events", args=[uuid4()])) as answer:
        require_shut(answer)


def link(page: httpx.Response, pattern: str) -> str:
    found = re.search(f'(?:href|src)="({pattern})"', page.text)
    assert found, page.text
    return found[1]


def test_the_original_is_a_download_that_may_do_nothing(handbook: None, staff: httpx.Client) -> None:
    listed = staff.get("/libraries/handbook/")
    page = staff.get(link(listed, '/documents/[^"]+'), follow_redirects=True)
    original = staff.get(link(page, '/documents/[^"]+/original'))
    assert original.headers["content-disposition"].startswith("attachment")
    assert original.headers["x-content-type-options"] == "nosniff"
    assert original.headers["referrer-policy"] == "same-origin"
    assert policy_of(original) == {"default-src": {"'none'"}, "sandbox": set()}


def test_what_is_no_request_gets_no_page(house: RunningHouse) -> None:
    """The server's own answer, before the application: plain words."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400") and b"text/plain" in answer and b"<" not in answer
