"""Server-sent events: how they are written, and when a stream ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis
from asgiref.sync import async_to_sync
from django.test import RequestFactory

from muniment.jobs import sse
from muniment.jobs.sse import Event, event_stream, last_event_id

pytestmark = pytest.mark.django_db


def frames(events: AsyncIterator[Event | None]) -> list[bytes]:
    async def read() -> list[bytes]:
        return [frame async for frame in event_stream(events)]

    return async_to_sync(read)()


def test_an_event_is_one_line_of_json_whatever_is_in_it() -> None:
    frame = Event("work", {"html": "a\nb\r\n\ndata: x\u2028é"}, "5-0").frame
    assert frame == b'id: 5-0\nevent: work\ndata: {"html": "a\\nb\\r\\n\\ndata: x\\u2028\\u00e9"}\n\n'


def test_events_come_in_order_after_the_pace_of_retrying() -> None:
    async def events() -> AsyncIterator[Event | None]:
        yield Event("one", {})
        yield None
        yield Event("two", {})

    assert frames(events()) == [b"retry: 3000\n\n", b"event: one\ndata: {}\n\n", b"event: two\ndata: {}\n\n"]


def test_no_proxy_keeps_or_holds_it_back() -> None:
    async def nothing() -> AsyncIterator[Event | None]:
        return
        yield

    response = event_stream(nothing())
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Accel-Buffering"] == "no"


def test_a_quiet_stream_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.05)

    async def quiet() -> AsyncIterator[Event | None]:
        for _tick in range(3):
            await asyncio.sleep(0.06)
            yield None

    assert frames(quiet()).count(b": still here\n\n") == 3


def test_a_broker_that_goes_away_ends_it_with_the_pace_of_retrying() -> None:
    async def broken() -> AsyncIterator[Event | None]:
        yield Event("one", {})
        raise redis.ConnectionError

    assert frames(broken())[-2:] == [b"event: one\ndata: {}\n\n", b"retry: 3000\n\n"]


@pytest.mark.parametrize(
    ("header", "query", "last"),
    [
        ("12-3", "", "12-3"),
        ("", "12-3", "12-3"),
        ("12-3", "9-9", "12-3"),
        ("", "", ""),
        ("$", "", ""),
        ("12", "", ""),
        ("12-3\n", "", ""),
        ("-", "", ""),
        ("1" * 30 + "-1", "", ""),
    ],
)
def test_only_ids_of_streams_are_taken_for_the_last_one(header: str, query: str, last: str) -> None:
    request = RequestFactory().get("/", {"last": query}, headers={"Last-Event-ID": header})
    assert last_event_id(request) == last
