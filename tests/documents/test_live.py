"""The live stream of a library."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.sessions.models import Session
from django.test import AsyncClient, Client

from muniment.accounts.models import Person
from muniment.documents import board, progress, services
from muniment.documents.models import Document, Version, VersionState
from muniment.jobs.streams import library_key
from muniment.scope import Label
from tests.factories import make_document, make_library, make_version
from tests.house import House, make_house, seen, signed_in

URL = "/libraries/handbook/events"


class Stream:
    """Frames of a stream as (event, data, id)."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self.chunks = chunks
        self.raw: list[str] = []

    async def next(self, event: str = "", seconds: float = 5) -> dict[str, Any]:
        """The data of the next frame with this event; StopAsyncIteration at the end."""
        async with asyncio.timeout(seconds):
            while True:
                text = (await anext(self.chunks)).decode()
                self.raw.append(text)
                fields = dict(line.split(": ", 1) for line in text.strip().split("\n"))
                if event and fields.get("event") == event:
                    return {**json.loads(fields["data"]), "id": fields.get("id", "")}

    async def end(self, seconds: float = 5) -> None:
        """Read until the stream ends."""
        with pytest.raises(StopAsyncIteration):
            await self.next("no such event", seconds)


@asynccontextmanager
async def listening(person: Person, **headers: str) -> AsyncIterator[Stream]:
    client = AsyncClient()
    await client.aforce_login(person)
    response: Any = await client.get(URL, headers=headers)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/event-stream"
    async with aclosing(aiter(response.streaming_content)) as chunks:
        yield Stream(chunks)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async_to_sync(test)()


def in_work(house: House, state: VersionState = VersionState.READING) -> Version:
    document = Document.objects.create(
        tenant=house.tenant.id, library=house.library, name="new.pdf", label=Label.INTERNAL
    )
    return make_version(document, state)


def test_it_begins_with_what_is_in_work_now(house: House, broker: redis.Redis) -> None:
    version = in_work(house)
    services.tell(version, {"stage": "reading", "done": 3, "total": 14})

    async def test() -> None:
        async with listening(house.reader) as stream:
            work = await stream.next("work")
            assert "new.pdf" in work["html"] and "Reading page 3 of 14" in work["html"]
            assert stream.raw[0] == "retry: 3000\n\n"

    run(test)


def test_progress_is_pushed(house: House, broker: redis.Redis) -> None:
    version = in_work(house)

    async def test() -> None:
        async with listening(house.reader) as stream:
            await stream.next("work")
            await sync_to_async(services.tell)(version, {"stage": "reading", "done": 5, "total": 14})
            assert "Reading page 5 of 14" in (await stream.next("work"))["html"]

    run(test)


def test_many_steps_make_few_events(house: House, broker: redis.Redis) -> None:
    version = in_work(house)

    async def test() -> None:
        async with listening(house.reader) as stream:
            await stream.next("work")
            for done in range(200):
                await sync_to_async(services.tell)(version, {"stage": "reading", "done": done, "total": 200})
            while "Reading page 199 of 200" not in (await stream.next("work"))["html"]:
                pass
            assert len([frame for frame in stream.raw if "event: work" in frame]) < 10

    run(test)


def test_however_many_look_on_a_step_is_looked_up_once(
    house: House, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, looks = in_work(house), []

    def counted(*given: Any) -> progress.Work:
        looks.append(given)
        return progress.work(*given)

    monkeypatch.setattr(board, "work", counted)

    async def test() -> None:
        async with AsyncExitStack() as open_streams:
            streams = [await open_streams.enter_async_context(listening(house.reader)) for _each in range(8)]
            await asyncio.gather(*(stream.next("work") for stream in streams))
            looks.clear()
            await sync_to_async(services.tell)(version, {"stage": "reading", "done": 5, "total": 14})
            for work in await asyncio.gather(*(stream.next("work") for stream in streams)):
                assert "Reading page 5 of 14" in work["html"]
            assert len(looks) == 1
            followers = [each for each in broker.client_list() if each["cmd"] == "xread"]
            assert len(followers) == 1

    run(test)


def test_among_those_who_look_on_only_who_may_retry_is_offered_to(house: House, broker: redis.Redis) -> None:
    version = in_work(house, VersionState.FAILED)
    Document.objects.filter(pk=version.document_id).update(added_by=house.clerk.id)

    async def test() -> None:
        async with listening(house.reader) as readers, listening(house.clerk) as clerks:
            seen_by_reader, seen_by_clerk = await readers.next("work"), await clerks.next("work")
            assert "new.pdf" in seen_by_reader["html"] and "retry" not in seen_by_reader["html"]
            assert f"/documents/{version.id}/retry" in seen_by_clerk["html"]

    run(test)


def test_who_opens_the_page_later_sees_what_is_in_work_by_then(house: House, broker: redis.Redis) -> None:
    async def test() -> None:
        async with listening(house.reader) as first:
            assert "new.pdf" not in (await first.next("work"))["html"]
            await asyncio.sleep(board.RENDER_SECONDS)
            await sync_to_async(in_work)(house)
            async with listening(house.reader) as second:
                assert "new.pdf" in (await second.next("work"))["html"]

    run(test)


@pytest.mark.parametrize("stage", ["published", "deleted"])
def test_it_says_when_the_table_has_changed(house: House, broker: redis.Redis, stage: str) -> None:
    version = in_work(house)

    async def test() -> None:
        async with listening(house.reader) as stream:
            await stream.next("work")
            await sync_to_async(services.tell)(version, {"stage": stage})
            assert (await stream.next("published"))["id"]

    run(test)


def test_a_lost_connection_hears_what_it_missed(house: House, broker: redis.Redis) -> None:
    version = in_work(house)
    services.tell(version, {"stage": "reading"})

    async def test() -> None:
        async with listening(house.reader) as stream:
            last = (await stream.next("work"))["id"]
        await sync_to_async(services.tell)(version, {"stage": "published"})
        async with listening(house.reader, **{"Last-Event-ID": last}) as stream:
            await stream.next("published")

    run(test)


def test_names_above_the_clearance_do_not_travel(house: House, broker: redis.Redis) -> None:
    version = in_work(house)
    Document.objects.filter(pk=version.document_id).update(label=Label.SECRET)

    async def test() -> None:
        async with listening(house.reader) as stream:
            assert "new.pdf" not in (await stream.next("work"))["html"]
            await sync_to_async(services.tell)(version, {"stage": "reading", "done": 5, "total": 14})
            assert "new.pdf" not in (await stream.next("work"))["html"]

    run(test)


def revoke(house: House) -> None:
    house.library.grants.filter(person=house.reader).delete()


def deactivate(house: House) -> None:
    Person.objects.filter(pk=house.reader.pk).update(is_active=False)


def sign_out_everywhere(house: House) -> None:
    Session.objects.all().delete()


def new_password(house: House) -> None:
    house.reader.set_password("another-one-of-mine")
    house.reader.save()


@pytest.mark.parametrize("loss", [revoke, deactivate, sign_out_everywhere, new_password])
@pytest.mark.parametrize("busy", [False, True])
def test_who_loses_access_is_cut_off_within_two_seconds(
    house: House, broker: redis.Redis, loss: Callable[[House], None], busy: bool
) -> None:
    version = in_work(house)

    async def chatter() -> None:
        while True:
            await sync_to_async(services.tell)(version, {"stage": "reading", "done": 1, "total": 2})
            await asyncio.sleep(0.05)

    async def test() -> None:
        async with listening(house.reader) as stream:
            await stream.next("work")
            noise = asyncio.create_task(chatter()) if busy else None
            await sync_to_async(loss)(house)
            begun = time.monotonic()
            await stream.next("gone", seconds=3)
            await stream.end()
            assert time.monotonic() - begun < 2
            if noise:
                noise.cancel()

    run(test)


def test_a_broker_that_does_not_answer_ends_the_stream_cleanly(house: House, no_broker: None) -> None:
    version = in_work(house)

    async def test() -> None:
        async with listening(house.reader) as stream:
            assert version.document.name in (await stream.next("work"))["html"]
            await stream.end()
            assert stream.raw[-1] == "retry: 3000\n\n"

    run(test)


def test_a_closed_stream_leaves_no_connection_to_the_broker(house: House, broker: redis.Redis) -> None:
    async def test() -> None:
        async with listening(house.reader) as stream:
            await stream.next("work")

    before = len(broker.client_list())
    run(test)
    assert len(broker.client_list()) <= before + 1


def test_a_stream_of_others_is_not_there(house: House) -> None:
    make_library(house.tenant, "Board")
    make_library(make_house().tenant, "Elsewhere")
    client = signed_in(house.reader)
    absent = seen(client.get("/libraries/nowhere/events"))
    assert absent[0] == 404
    assert (
        seen(client.get("/libraries/board/events"))
        == seen(client.get("/libraries/elsewhere/events"))
        == absent
    )


def test_nobody_hears_nothing(house: House) -> None:
    answer = Client().get(URL, headers={"Accept": "text/event-stream"})
    assert answer.status_code == 401


def test_streams_of_two_tenants_with_the_same_library_name_are_apart(
    house: House, broker: redis.Redis
) -> None:
    other = make_house()
    assert other.library.slug == house.library.slug
    assert library_key(house.tenant.id, house.library.id) != library_key(other.tenant.id, other.library.id)
    version = in_work(other)

    async def test() -> None:
        async with listening(house.reader) as stream:
            assert "new.pdf" not in (await stream.next("work"))["html"]
            await sync_to_async(services.tell)(version, {"stage": "published"})
            with pytest.raises(TimeoutError):
                await stream.next("published", seconds=1.5)

    run(test)


def test_deleting_a_document_tells_who_looks_on(
    house: House, broker: redis.Redis, django_capture_on_commit_callbacks: Any
) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    with django_capture_on_commit_callbacks(execute=True):
        signed_in(house.clerk).post(f"/documents/{document.id}/delete")
    entries: Any = broker.xrange(library_key(house.tenant.id, house.library.id))
    assert json.loads(entries[-1][1][b"data"])["stage"] == "deleted"
