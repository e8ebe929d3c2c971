"""Stopping, queueing, and what one tenant's prompts leave for another's: nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.engines.engine_process import CONTEXT, EngineProcess, long_text, says
from workers.engines import ChatEvent, Finished, Token, Waiting
from workers.engines.engine import OpenAIEngine

LONG = long_text(1700)
ENDLESS = "Write a very long story about a lighthouse. Do not stop."


def _wait_until(true: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


class Asker(threading.Thread):
    """Asks in a thread of its own and keeps the events; `stop` ends the answer."""

    def __init__(
        self, engine: OpenAIEngine, text: str, tenant: str, max_tokens: int = 2, log: list[str] | None = None
    ) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.events: list[ChatEvent] = []
        self._ask = lambda: engine.chat(
            says(text), max_tokens=max_tokens, tenant=tenant, conversation="c", stop=self.stop
        )
        self._log = log
        self.start()

    def run(self) -> None:
        for event in self._ask():
            if isinstance(event, Token) and self._log is not None and self.name not in self._log:
                self._log.append(self.name)
            self.events.append(event)

    def has(self, kind: type[ChatEvent]) -> bool:
        return any(isinstance(event, kind) for event in self.events)

    def positions(self) -> list[int]:
        return [event.position for event in self.events if isinstance(event, Waiting)]


def _seconds_until_free(engine: OpenAIEngine) -> float:
    """How long a question that needs the whole context waits for its turn."""
    stop = threading.Event()
    question = says("Hi")
    room = CONTEXT - engine.prompt_tokens(question)
    for event in engine.chat(question, max_tokens=room, tenant="next", conversation="c", stop=stop):
        if isinstance(event, Token):
            stop.set()
    assert isinstance(event, Finished)
    return event.queued_s


@contextmanager
def _all_places_taken(engine: OpenAIEngine) -> Iterator[list[Asker]]:
    """Four long answers at once, which end afterwards."""
    running = [Asker(engine, ENDLESS, "a", max_tokens=400) for _ in range(4)]
    try:
        _wait_until(lambda: all(asker.has(Token) for asker in running))
        yield running
    finally:
        for asker in running:
            asker.stop.set()
        for asker in running:
            asker.join(10)


def test_stop_ends_an_answer_within_a_second_while_tokens_come(engine: OpenAIEngine) -> None:
    asker = Asker(engine, ENDLESS, "a", max_tokens=1500)
    _wait_until(lambda: asker.has(Token))
    stopped = time.monotonic()
    asker.stop.set()
    asker.join(5)
    assert time.monotonic() - stopped < 1
    assert _seconds_until_free(engine) < 1
    last = asker.events[-1]
    assert isinstance(last, Finished) and last.reason == "cancelled" and last.prompt_tokens > 0


def test_stop_ends_the_reading_of_a_long_prompt_within_a_second(engine: OpenAIEngine) -> None:
    asker = Asker(engine, LONG, "a")
    time.sleep(0.7)
    assert not asker.has(Token), "the prompt is too short for this test"
    stopped = time.monotonic()
    asker.stop.set()
    asker.join(5)
    assert time.monotonic() - stopped < 1
    assert _seconds_until_free(engine) < 1


def test_closing_the_iterator_ends_the_answer(engine: OpenAIEngine) -> None:
    events = engine.chat(says(ENDLESS), max_tokens=1500, tenant="a", conversation="c")
    while not isinstance(next(events), Token):
        pass
    events.close()  # type: ignore[attr-defined]  # a generator
    assert _seconds_until_free(engine) < 1


def test_a_plain_request_that_goes_away_ends_too(engine: OpenAIEngine, engine_process: EngineProcess) -> None:
    import httpx

    with engine_process.http() as http, pytest.raises(httpx.ReadTimeout):
        body = {"messages": says(ENDLESS), "max_tokens": 1500, "temperature": 0}
        http.post("/v1/chat/completions", json=body, timeout=0.5)
    assert _seconds_until_free(engine) < 1


def test_tenants_take_turns_and_hear_their_place(engine: OpenAIEngine) -> None:
    with _all_places_taken(engine) as running:
        served: list[str] = []
        waiting = {}
        for name, tenant in (("a2", "a"), ("a3", "a"), ("b1", "b")):
            waiting[name] = Asker(engine, "Hi", tenant, log=served)
            waiting[name].name = name
            _wait_until(lambda asker=waiting[name]: asker.has(Waiting))  # type: ignore[misc]  # bound now
        running[0].stop.set()
        for asker in waiting.values():
            asker.join(30)
    assert served == ["b1", "a2", "a3"]
    assert waiting["b1"].positions() == [1]
    assert waiting["a2"].positions()[:2] == [1, 2]
    assert waiting["a3"].positions()[:2] == [2, 3]
    assert all(asker.has(Finished) for asker in waiting.values())


def test_a_waiting_question_can_be_stopped(engine: OpenAIEngine) -> None:
    with _all_places_taken(engine) as running:
        waiting = Asker(engine, "Hi", "b")
        _wait_until(lambda: waiting.has(Waiting))
        behind = Asker(engine, "Hi", "c")
        _wait_until(lambda: behind.positions() == [2])
        waiting.stop.set()
        _wait_until(lambda: behind.positions() == [2, 1])
        running[0].stop.set()
        behind.join(20)
    assert behind.has(Finished) and not waiting.has(Token)


def test_answers_run_at_once(engine: OpenAIEngine) -> None:
    with _all_places_taken(engine) as running:
        written = [len(asker.events) for asker in running]
        _wait_until(lambda: all(len(asker.events) > n + 3 for asker, n in zip(running, written, strict=True)))
        assert not any(asker.has(Finished) for asker in running)


def test_what_needs_more_room_than_is_left_waits_for_it(engine: OpenAIEngine) -> None:
    with _all_places_taken(engine) as running:
        running[0].stop.set()
        running[0].join(10)
        large = Asker(engine, "Hi", "b", max_tokens=CONTEXT - 200)
        _wait_until(lambda: large.has(Waiting))
        small = Asker(engine, "Hi", "c")
        _wait_until(lambda: small.has(Waiting))
        assert (large.positions(), small.positions()) == ([1], [2])
        assert not any(asker.has(Finished) for asker in running[1:])
    _wait_until(lambda: large.has(Token) and small.has(Token))
    large.stop.set()


def test_a_tenants_next_prompt_reuses_what_it_shares_with_the_last(engine_process: EngineProcess) -> None:
    text = long_text(300)
    first = engine_process.ask(text + " One?", tenant="prefix-a")
    second = engine_process.ask(text + " Two?", tenant="prefix-a")
    assert first["timings"]["cached_n"] == 0
    assert second["timings"]["cached_n"] > 250
    assert second["timings"]["prompt_n"] == second["usage"]["prompt_tokens"] > 300


def test_two_people_of_a_tenant_share_what_their_prompts_have_in_common(
    engine_process: EngineProcess,
) -> None:
    text = long_text(300)
    for question in ("One?", "Two?", "One? And then?"):
        reply = engine_process.ask(f"{text} {question}", tenant="prefix-e")
    assert reply["timings"]["cached_n"] > 300


@pytest.mark.parametrize("other", ["prefix-d", ""])
def test_nothing_is_reused_across_tenants(engine_process: EngineProcess, other: str) -> None:
    text = long_text(300)
    engine_process.ask(text, tenant="prefix-c" + other)
    assert engine_process.ask(text, tenant=other)["timings"]["cached_n"] == 0
    assert engine_process.ask(text, tenant="prefix-c" + other)["timings"]["cached_n"] > 250


def test_nobody_reuses_a_prompt_without_a_tenant(engine_process: EngineProcess) -> None:
    text = long_text(300)
    engine_process.ask(text)
    assert engine_process.ask(text)["timings"]["cached_n"] == 0
