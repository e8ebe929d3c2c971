"""What happens in a library, as it happens."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from muniment.accounts.requests import scope_of_request
from muniment.accounts.watching import scope_by_now
from muniment.database import release_connections
from muniment.documents.models import VersionState
from muniment.documents.progress import Progress, in_work
from muniment.jobs.sse import TICK_MS, Event, event_stream, last_event_id
from muniment.jobs.streams import Entry, follow, library_key, tail
from muniment.tenancy.queries import library_by_slug
from muniment.wall import within

# Steps come many a second; eyes need fewer. Places in the queue move without a step of ours.
RENDER_SECONDS = 0.7
RENDER_AGAIN_SECONDS = 10.0
# After these the table of documents is another one.
CHANGES_TABLE = {VersionState.PUBLISHED, VersionState.DELETED}


class Watch:
    """One browser that looks at one library, and what it has heard."""

    def __init__(self, request: HttpRequest, slug: str) -> None:
        self.request = request
        self.scope = scope_of_request(request)
        self.library = library_by_slug(self.scope, slug).id
        self.key = library_key(self.scope.tenant, self.library)
        heard = tail(self.key)
        self.progress = Progress.of(heard)
        # A new browser is told the state as a whole, so it goes on from now.
        self.after = last_event_id(request) or (heard[-1].id if heard else "0-0")
        self.busy = False

    async def may_go_on(self) -> bool:
        scope = await scope_by_now(self.request, self.scope.tenant)
        if scope is None or self.library not in scope.libraries:
            return False
        self.scope = scope
        return True

    def work(self) -> Event:
        """What is in work, as html."""
        try:
            # The request's own door has closed long ago.
            with within(self.scope.tenant):
                context: dict[str, Any] = {"in_work": in_work(self.scope, self.library, self.progress)}
                self.busy = bool(context["in_work"]["left"])
                html = render_to_string("documents/_in_work.html", context, self.request)
            return Event("work", {"html": html}, self.after)
        finally:
            release_connections()

    def hear(self, entry: Entry) -> Event | None:
        """Keep a step; gives an event where the table of documents has changed."""
        self.progress.hear(entry)
        self.after = entry.id
        return Event("published", {}, entry.id) if entry.data["stage"] in CHANGES_TABLE else None


@require_GET
async def events(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    watch = await sync_to_async(Watch)(request, slug)
    return event_stream(_events(watch), watch.may_go_on)


async def _events(watch: Watch) -> AsyncIterator[Event | None]:
    yield await sync_to_async(watch.work)()
    shown, fresh = time.monotonic(), False
    async with aclosing(follow(watch.key, watch.after, TICK_MS)) as entries:  # type: ignore[type-var]
        async for entry in entries:
            if entry is not None:
                fresh = True
                if changed := watch.hear(entry):
                    yield changed
            quiet = time.monotonic() - shown
            if (fresh and quiet >= RENDER_SECONDS) or (watch.busy and quiet >= RENDER_AGAIN_SECONDS):
                shown, fresh = time.monotonic(), False
                yield await sync_to_async(watch.work)()
            elif entry is None:
                yield None
