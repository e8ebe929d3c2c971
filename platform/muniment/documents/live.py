"""What happens in a library, as it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from muniment.accounts.requests import scope_of_request
from muniment.accounts.watching import scope_by_now
from muniment.documents.board import Board, changes_table, join, leave
from muniment.jobs.sse import Event, event_stream, last_event_id
from muniment.jobs.streams import library_key, missed
from muniment.tenancy.queries import library_by_slug


class Watch:
    """One browser that looks at one library."""

    def __init__(self, request: HttpRequest, slug: str) -> None:
        self.request = request
        self.scope = scope_of_request(request)
        self.library = library_by_slug(self.scope, slug).id
        last = last_event_id(request)
        heard = missed(library_key(self.scope.tenant, self.library), last) if last else []
        # A browser that comes back is told the state as a whole, but not that the table is another one.
        self.missed_a_change = any(map(changes_table, heard))

    async def may_go_on(self) -> bool:
        scope = await scope_by_now(self.request, self.scope.tenant)
        if scope is None or self.library not in scope.libraries:
            return False
        self.scope = scope
        return True

    async def work(self, board: Board) -> Event:
        """What is in work, as html."""
        look = await board.look(self.scope)
        return await look.event_for(self.scope, self.request)


@require_GET
async def events(request: HttpRequest, slug: str) -> StreamingHttpResponse:
    watch = await sync_to_async(Watch)(request, slug)
    return event_stream(_events(watch), watch.may_go_on)


async def _events(watch: Watch) -> AsyncIterator[Event | None]:
    board = await join(watch.scope.tenant, watch.library)
    try:
        await board.ready()
        moment, table = board.moment, board.table_changed
        yield await watch.work(board)
        if watch.missed_a_change:
            yield Event("published", {}, board.heard)
        while True:
            if (moment, table) == (board.moment, board.table_changed):
                await board.news()
            if table != board.table_changed:
                table = board.table_changed
                yield Event("published", {}, table)
            if moment != board.moment:
                moment = board.moment
                yield await watch.work(board)
            else:
                yield None
    finally:
        await leave(board)
