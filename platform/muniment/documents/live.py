"""What happens in a library, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from muniment.accounts.requests import scope_of_request
from muniment.accounts.watching import watched
from muniment.documents.board import changes_table, join, leave
from muniment.jobs.sse import GONE, Event, event_stream, last_event_id
from muniment.jobs.streams import library_key, missed
from muniment.tenancy.queries import library_by_slug


class Asked:
    """One browser that looks at one library, and what it missed since it last looked."""

    def __init__(self, request: HttpRequest, slug: str) -> None:
        scope = scope_of_request(request)
        self.request, self.tenant = request, scope.tenant
        self.library = library_by_slug(scope, slug).id
        last = last_event_id(request)
        heard = missed(library_key(scope.tenant, self.library), last) if last else []
        # A browser that comes back is told the state as a whole, but not that the table is another one.
        self.missed_a_change = any(map(changes_table, heard))


@require_GET
async def events(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    asked = await sync_to_async(Asked)(request, slug)
    return event_stream(_events(asked))


async def _events(asked: Asked) -> AsyncIterator[Event | None]:
    """What is in work, as html, whenever it is another; and that the table of documents is."""
    board = await join(asked.tenant, asked.library)
    try:
        with watched(asked.request) as sight:
            await board.ready()
            moment, table = -1, "" if asked.missed_a_change else board.table_changed
            while True:
                scope = sight.scope
                if scope is None or asked.library not in scope.libraries:
                    yield GONE
                    return
                if moment != board.moment:
                    moment = board.moment
                    yield await (await board.look(scope)).event_for(scope, asked.request)
                elif table != board.table_changed:
                    table = board.table_changed
                    yield Event("published", {}, table)
                else:
                    await board.news(sight.change)
                    yield None
    finally:
        await leave(board)
