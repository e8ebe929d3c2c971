"""A turn's events for the page: what the worker says as it goes.

Where there is no stream, the database says how it ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar
from uuid import UUID

import redis
from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from muniment.accounts.requests import scope_as_of_now, scope_of_request
from muniment.conversations import shown
from muniment.conversations.models import OPEN_TURNS, TurnState
from muniment.conversations.queries import place_in_queue
from muniment.conversations.queries import turn as own_turn
from muniment.database import release_connections
from muniment.jobs.sse import GONE, TICK_MS, Event, event_stream, last_event_id
from muniment.jobs.streams import Entry, follow, turn_key
from muniment.pages.errors import NotFound
from muniment.wall import within

# How often the database is asked whether the person may go on, and whether the turn has ended: a stream can
# be lost, a row cannot. With the wait for an entry it stays under two seconds.
LOOK_SECONDS = 0.9
# A broker that takes longer than its own blocking read has stopped answering.
PATIENCE_SECONDS = TICK_MS / 1000 + 0.4

T = TypeVar("T")


class Reader:
    """One browser that follows one turn, and what it has been told. Raises `NotFound` for other people's."""

    def __init__(self, request: HttpRequest, turn: UUID) -> None:
        self.request = request
        self.scope = scope_of_request(request)
        self.turn = own_turn(self.scope, turn).id
        self.csrf_token = get_token(request)
        self.state = ""
        self.place: int | None = None
        self.has_sources = self.hears = self.writing = False

    async def events(self, after: str) -> AsyncIterator[Event | None]:
        """Events until the turn's end; None whenever nothing happened for a second.

        `after` is the last entry that the browser has, "" for all. An ended turn gives `sources`, `answer`
        (or `failed`) and `done` from the database.
        """
        looked = 0.0
        key = turn_key(self.scope.tenant, self.turn)
        async with aclosing(_entries(key, after or "0-0")) as entries:  # type: ignore[type-var]  # a generator
            while True:
                if time.monotonic() - looked >= LOOK_SECONDS:
                    found, ended = await sync_to_async(self._reading(self._look))()
                    looked = time.monotonic()
                    for event in found:
                        yield event
                    if ended:
                        return
                entry = await anext(entries)
                if entry is None:
                    yield None
                elif entry.event in {"done", "failed"}:
                    looked = 0.0  # it is in the database by now
                else:
                    for event in await self._heard(entry):
                        yield event

    def _reading(self, read: Callable[[], T]) -> Callable[[], T]:
        """The request's own door has closed when its stream is read: each look opens the wall again."""

        def reading() -> T:
            with within(self.scope.tenant):
                return _closing(read)()

        return reading

    def _look(self) -> tuple[list[Event], bool]:
        """What the database knows and the browser does not, and whether that was the end."""
        scope = scope_as_of_now(self.request)
        if scope is None:
            return [GONE], True
        self.scope = scope
        try:
            turn = own_turn(scope, self.turn)
        except NotFound:
            return [GONE], True
        if turn.state not in OPEN_TURNS:
            return self._end(shown.turn(self.scope, turn)), True
        events = []
        place = place_in_queue(self.scope, turn)
        if place and place != self.place:
            events.append(_waiting(place))
        elif (turn.state, place) != (self.state, self.place) and not self.hears:
            events.append(Event("status", {"text": shown.status_text(turn.state)}))
        self.place, self.state = place, turn.state
        if turn.state == TurnState.ANSWERING and not self.has_sources:
            events.append(self._sources(shown.turn(self.scope, turn)))
        return events, False

    async def _heard(self, entry: Entry) -> list[Event]:
        """A worker's entry in the words of the page; the last event carries the entry's id."""
        data, events = entry.data, []
        self.hears = True
        match entry.event:
            case "begin":
                self.writing = False
                events.append(Event("status", {"text": shown.status_text(TurnState.SEARCHING)}))
                events.append(Event("begin", {}))
            case "sources":
                events += await sync_to_async(self._reading(self._found))()
            case "waiting":
                events.append(_waiting(data["position"]))
            case "reading":
                text = shown.reading_text(data["tokens"], data.get("seconds"))
                events.append(Event("status", {"text": text}))
            case "retrying":
                events.append(Event("status", {"text": shown.retrying_text()}))
            case "token":
                if not self.writing:
                    events.append(Event("status", {"text": shown.writing_text()}))
                self.writing = True
                events.append(Event("token", {"text": str(data["text"])}))
        return [*events[:-1], *(Event(last.name, last.data, entry.id) for last in events[-1:])]

    def _found(self) -> list[Event]:
        try:
            return [self._sources(shown.turn(self.scope, own_turn(self.scope, self.turn)))]
        except NotFound:
            return []  # deleted just now: the next look says so

    def _sources(self, turn: shown.Turn) -> Event:
        self.has_sources = True
        return Event("sources", {"html": self._render("conversations/_sources.html", turn)})

    def _end(self, turn: shown.Turn) -> list[Event]:
        name = "failed" if turn.state == TurnState.FAILED else "answer"
        answer = Event(name, {"html": self._render("conversations/_answer.html", turn)})
        return [self._sources(turn), answer, Event("done", {"state": turn.state})]

    def _render(self, template: str, turn: shown.Turn) -> str:
        return render_to_string(template, {"turn": turn, "csrf_token": self.csrf_token})


@require_GET
async def events(request: HttpRequest, turn_id: UUID) -> StreamingHttpResponse:
    """The turn's live stream, for its asker alone."""
    reader = await sync_to_async(_closing(lambda: Reader(request, turn_id)))()
    # Each look at the turn is a look at who reads, so there is nothing left to check.
    return event_stream(reader.events(last_event_id(request)))


def _waiting(place: int) -> Event:
    return Event("waiting", {"position": place, "text": shown.waiting_text(place)})


def _closing(read: Callable[[], T]) -> Callable[[], T]:
    """A stream lasts: a connection to the database is not kept between two looks."""

    def closing() -> T:
        try:
            return read()
        finally:
            release_connections()

    return closing


async def _entries(key: str, after: str) -> AsyncIterator[Entry | None]:
    """Entries as they come, None each second; a broker that does not answer is asked again and again."""
    while True:
        try:
            async with aclosing(follow(key, after, wait_ms=TICK_MS)) as entries:  # type: ignore[type-var]  # a generator
                while True:
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        entry = await anext(entries)
                    if entry is not None:
                        after = entry.id
                    yield entry
        except (redis.RedisError, OSError, TimeoutError):
            yield None
            await asyncio.sleep(LOOK_SECONDS / 3)
