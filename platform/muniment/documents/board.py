"""What all who look at a library see of its work: heard once a process, looked up and drawn once for all.

Fifty open pages of one library would else ask the database fifty times for each step of each file.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Coroutine
from contextlib import aclosing
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import get_language, override

from muniment.database import release_connections
from muniment.documents.models import VersionState
from muniment.documents.progress import Progress, Work, work
from muniment.jobs.sse import KEEP_ALIVE_SECONDS, TICK_MS, Event
from muniment.jobs.streams import Entry, follow, library_key, tail
from muniment.scope import Scope
from muniment.wall import within

# Steps come many a second; eyes need fewer. Places in the queue move without a step of ours.
RENDER_SECONDS = 0.7
RENDER_AGAIN_SECONDS = 10.0
# After these the table of documents is another one.
CHANGES_TABLE = {VersionState.PUBLISHED, VersionState.DELETED}
TEMPLATE = "documents/_in_work.html"

T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """The work at a moment, and the event that tells it to those who may do nothing about what failed."""

    work: Work
    event: Event

    async def event_for(self, scope: Scope, request: HttpRequest) -> Event:
        if not self.work.changeable(scope):
            return self.event
        return await sync_to_async(_event)(self.work, scope, self.event.id, request)


def _event(work: Work, scope: Scope, heard: str, request: HttpRequest | None = None) -> Event:
    html = render_to_string(TEMPLATE, {"in_work": work.shown_to(scope)}, request)
    return Event("work", {"html": html}, heard)


class Board:
    """One library, followed in one event loop for as long as somebody looks on."""

    def __init__(self, tenant: UUID, library: UUID) -> None:
        self.tenant, self.library, self.key = tenant, library, library_key(tenant, library)
        self.readers = 0
        # How often there was something new to see.
        self.moment = 0
        # The last entry heard, and the last one after which the table of documents is another one.
        self.heard = self.table_changed = "0-0"
        self._progress, self._busy = Progress(), False
        self._looks: dict[tuple[int, str | None], tuple[float, Task[Look]]] = {}
        self._news: Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[Task[Any]] = set()
        self._recalled = self._start(self._recall())
        self._listening = self._start(self._listen())

    async def ready(self) -> None:
        """Return once what happened before has been heard."""
        await asyncio.shield(self._recalled)

    async def look(self, scope: Scope) -> Look:
        """The work as those of this clearance see it, made within the last moment for whoever asked first."""
        key, now = (scope.clearance, get_language()), time.monotonic()
        begun, task = self._looks.get(key, (0.0, None))
        if task is None or now - begun >= RENDER_SECONDS:
            task = self._start(sync_to_async(self._see)(scope, get_language()))
            self._looks[key] = now, task
        try:
            return await asyncio.shield(task)
        except Exception:
            self._looks.pop(key, None)
            raise

    def _see(self, scope: Scope, language: str | None) -> Look:
        try:
            with within(self.tenant), override(language):
                heard = self.heard
                found = work(scope, self.library, lambda: self._progress)
                self._busy = bool(found.working)
                return Look(found, _event(found, scope, heard))
        finally:
            release_connections()

    async def news(self, other: Future[None]) -> None:
        """Return when there is something new, here or of the `other` kind, or when a sign of life is due.

        Raises RedisError for a silent broker.
        """
        waited_for = {self._news, self._listening, other}
        await asyncio.wait(waited_for, timeout=KEEP_ALIVE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._listening.done():
            self._listening.result()

    @property
    def ended(self) -> bool:
        """Whether the broker went silent: who comes now begins anew."""
        return self._listening.done()

    async def close(self) -> None:
        self._listening.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, job: Coroutine[Any, Any, T]) -> Task[T]:
        """In a context of its own, with another thread than the first reader's, who may leave before."""
        task = asyncio.get_running_loop().create_task(job, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _recall(self) -> None:
        for entry in await sync_to_async(tail)(self.key):
            self._hear(entry)

    async def _listen(self) -> None:
        await self._recalled
        shown, fresh = time.monotonic(), False
        async with aclosing(follow(self.key, self.heard, TICK_MS)) as heard:  # type: ignore[type-var]
            async for new in heard:
                # The client of the broker has been seen to swallow a cancellation.
                if not self.readers or self._listening.cancelling():
                    return
                if new is not None:
                    fresh = True
                    self._hear(new)
                quiet = time.monotonic() - shown
                if (fresh and quiet >= RENDER_SECONDS) or (self._busy and quiet >= RENDER_AGAIN_SECONDS):
                    shown, fresh = time.monotonic(), False
                    self.moment += 1
                    self._looks.clear()
                    self._wake()

    def _hear(self, entry: Entry) -> None:
        self._progress.hear(entry)
        self.heard = entry.id
        if changes_table(entry):
            self.table_changed = entry.id
            self._wake()

    def _wake(self) -> None:
        self._news.set_result(None)
        self._news = self._news.get_loop().create_future()


def changes_table(entry: Entry) -> bool:
    return entry.data["stage"] in CHANGES_TABLE


_boards: WeakKeyDictionary[AbstractEventLoop, dict[str, Board]] = WeakKeyDictionary()


async def join(tenant: UUID, library: UUID) -> Board:
    """The board of a library, which others may be reading already. Who joins must leave."""
    boards = _boards.setdefault(asyncio.get_running_loop(), {})
    key = library_key(tenant, library)
    board = boards.get(key)
    if board is None or board.ended:
        board = boards[key] = Board(tenant, library)
    board.readers += 1
    return board


async def leave(board: Board) -> None:
    board.readers -= 1
    if board.readers:
        return
    boards = _boards[asyncio.get_running_loop()]
    if boards.get(board.key) is board:
        del boards[board.key]
    await board.close()
