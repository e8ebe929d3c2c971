"""Server-sent events: live streams to browsers, and the end of a stream when its reader loses access."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import redis
from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse

from muniment.database import release_connections

log = logging.getLogger(__name__)

# How long a look at a live stream waits for something to happen.
TICK_MS = 1000
KEEP_ALIVE_SECONDS = 15.0
RETRY_MS = 3000
_ENTRY_ID = re.compile(r"\d{1,20}-\d{1,20}")


@dataclass(frozen=True)
class Event:
    """`data` becomes JSON. `id` is the live stream's entry, from which a lost connection goes on."""

    name: str
    data: Any
    id: str = ""

    @cached_property
    def frame(self) -> bytes:
        """As it is sent; made once, however many streams send it."""
        lines = [f"id: {self.id}"] if self.id else []
        lines += [f"event: {self.name}", f"data: {json.dumps(self.data)}"]
        return ("\n".join(lines) + "\n\n").encode()


# To one who may look no longer.
GONE = Event("gone", {})


def last_event_id(request: HttpRequest) -> str:
    """Where the browser's last connection was, "" for a new one or an id that no stream gives out.

    Our own scripts open a new connection themselves and say it in the address.
    """
    given = request.headers.get("Last-Event-ID", "") or request.GET.get("last", "")
    return given if _ENTRY_ID.fullmatch(given) else ""


def event_stream(events: AsyncIterator[Event | None]) -> StreamingHttpResponse:
    """A response that sends events as they come. Only for async views.

    `events` yields None at least each `KEEP_ALIVE_SECONDS` where nothing happens. It sees for itself whether
    the person may still look, and ends with `GONE` when not. A broker that does not answer ends the stream;
    the browser comes back after `RETRY_MS`.
    """
    response = StreamingHttpResponse(_frames(events), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    # Proxies of nginx's kind would hold events back until a buffer is full.
    response.headers["X-Accel-Buffering"] = "no"
    return response


async def _frames(events: AsyncIterator[Event | None]) -> AsyncIterator[bytes]:
    sent = time.monotonic()
    yield f"retry: {RETRY_MS}\n\n".encode()
    try:
        # A stream lasts; a connection that it touched before must not stay open as long.
        await sync_to_async(release_connections)()
        async with aclosing(events) as source:  # type: ignore[type-var]  # sources are async generators
            async for event in source:
                now = time.monotonic()
                if event is not None:
                    sent = now
                    yield event.frame
                elif now - sent >= KEEP_ALIVE_SECONDS:
                    sent = now
                    yield b": still here\n\n"
    except redis.RedisError:
        log.warning("stream.broker_does_not_answer")
        yield f"retry: {RETRY_MS}\n\n".encode()
