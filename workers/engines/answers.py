"""One answer on its way from the generator's thread to a client: whole, or as server-sent events."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from workers.engines.generator import Generator
from workers.engines.queueing import Done, Event, Position, Started, Task, Text

# While nothing else is to say. A client may take a much longer silence for a dead engine.
ALIVE_SECONDS = 5.0


class ClientGone(Exception):
    """The client closed its request before the answer was complete."""


class Answer:
    """Submits a task and receives its events in the running event loop. Raises QueueFull."""

    def __init__(self, generator: Generator, task: Task) -> None:
        self._generator = generator
        self._task = task
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def sink(event: Event) -> None:
            loop.call_soon_threadsafe(self._events.put_nowait, event)

        generator.submit(task, sink)

    def cancel(self) -> None:
        """End the generation, if it has not ended."""
        self._generator.cancel(self._task)

    async def events(self) -> AsyncIterator[Event | None]:
        """All events up to Done; None when nothing happened for a while."""
        while True:
            try:
                event = await asyncio.wait_for(self._events.get(), ALIVE_SECONDS)
            except TimeoutError:
                yield None
                continue
            yield event
            if isinstance(event, Done):
                return

    async def whole(self, request: Request) -> tuple[str, Done]:
        """The whole text and its account. Raises ClientGone, and ends the generation then."""
        gone = asyncio.create_task(_gone(request))
        collected = asyncio.create_task(self._collect())
        try:
            await asyncio.wait({gone, collected}, return_when=asyncio.FIRST_COMPLETED)
            if not collected.done():
                raise ClientGone
            return collected.result()
        finally:
            gone.cancel()
            collected.cancel()
            self.cancel()

    async def _collect(self) -> tuple[str, Done]:
        pieces: list[str] = []
        async for event in self.events():
            if isinstance(event, Text):
                pieces.append(event.text)
            if isinstance(event, Done):
                return "".join(pieces), event
        raise AssertionError("events end with Done")


class AnswerStream(StreamingResponse):
    """Server-sent events. However the response ends, the generation ends with it."""

    def __init__(self, answer: Answer, model: str) -> None:
        self._answer = answer
        super().__init__(_frames(answer, model), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _frames(answer: Answer, model: str) -> AsyncIterator[str]:
    start = {"id": _new_id(), "object": "chat.completion.chunk", "model": model}
    async for event in answer.events():
        yield _frame(event, start)


def _frame(event: Event | None, start: dict[str, Any]) -> str:
    match event:
        case None:
            return ": alive\n\n"
        case Position(others):
            return f": queue {others}\n\n"
        case Started(prompt_n, cached_n):
            return f": prompt {prompt_n} {cached_n}\n\n"
        case Text(text):
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            return _data(start | {"choices": [choice]})
        case Done(reason="failed"):
            error = {"message": "The language model failed on this prompt.", "code": "generation_failed"}
            return _data({"error": error})
        case Done(reason=reason):
            choice = {"index": 0, "delta": {}, "finish_reason": reason}
            return _data(start | {"choices": [choice]} | accounts(event)) + "data: [DONE]\n\n"


def _data(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def _new_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def completion(model: str, text: str, done: Done) -> dict[str, Any]:
    """The body of a plain reply."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": done.reason}
    start = {"id": _new_id(), "object": "chat.completion", "model": model, "choices": [choice]}
    return start | accounts(done)


def accounts(done: Done) -> dict[str, Any]:
    """What an answer took: `usage` as OpenAI counts, `timings` in milliseconds and tokens."""
    return {
        "usage": {
            "prompt_tokens": done.prompt_n,
            "completion_tokens": done.predicted_n,
            "total_tokens": done.prompt_n + done.predicted_n,
        },
        "timings": {
            "queued_ms": round(done.queued_ms, 1),
            "prompt_ms": round(done.prompt_ms, 1),
            "predicted_ms": round(done.predicted_ms, 1),
            "prompt_n": done.prompt_n,
            "cached_n": done.cached_n,
            "predicted_n": done.predicted_n,
        },
    }
