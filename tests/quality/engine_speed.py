"""How quick an engine is: alone beside llama.cpp, with several answers at once, with a known prompt."""

from __future__ import annotations

import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise

from tests.faults.look import long_text
from tests.quality.rows import Row
from workers.engines import Token
from workers.engines.engine import OpenAIEngine

TIMES = 5
AT_ONCE = 4
WRITTEN = 64
PROMPT_CHARS = 1100
# The rest that a batch may take beside the pause that people are promised.
PAUSE_MS = 250

Messages = list[dict[str, str]]


def rows(engine: OpenAIEngine, bare: Callable[[Messages], float]) -> Iterator[Row]:
    """`bare` gives llama.cpp's own seconds to the first word, in a process of its own."""
    yield _first_token(engine, bare)
    yield _follow_up(engine)
    yield _at_once(engine)
    yield _pause(engine)


def _first_token(engine: OpenAIEngine, bare: Callable[[Messages], float]) -> Row:
    """In turn, on the same prompts."""
    ours, alone = [], []
    for number in range(TIMES):
        asked = _asked(number)
        alone.append(bare(asked))
        ours.append(_times(engine, asked, 4)[0])
    here, yardstick = statistics.median(ours), statistics.median(alone)
    return Row(
        "time to the first token",
        f"{here:.2f} s",
        f"llama.cpp alone {yardstick:.2f} s: {here / yardstick:.2f}x",
        "<= 1.05x + 0.03 s",
        here <= 1.05 * yardstick + 0.03,
    )


def _follow_up(engine: OpenAIEngine) -> Row:
    """The same conversation, grown by an answer and some 120 tokens."""
    shares = []
    for number in range(TIMES):
        tenant, asked = str(uuid.uuid4()), _asked(number)
        first = _times(engine, asked, 16, tenant)[0]
        more = long_text(1000 + number, 2).decode()[:250]
        grown = [*asked, _said("assistant", "About that."), _said("user", more)]
        shares.append(_times(engine, grown, 4, tenant)[0] / first)
    share = statistics.median(shares)
    return Row(
        "first token of a follow-up question",
        f"{share:.2f}",
        "the first question's",
        "<= 0.35x",
        share <= 0.35,
    )


def _at_once(engine: OpenAIEngine) -> Row:
    """Tokens a second while all of them write."""
    alone = statistics.median(_speed(_times(engine, _asked(n, 200), WRITTEN)) for n in range(TIMES))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [_asked(n, 200) for n in range(AT_ONCE)]
        written = list(pool.map(lambda one: _times(engine, one, 2 * WRITTEN, since=0.0), asked))
    begun, ended = max(times[0] for times in written), min(times[-1] for times in written)
    count = sum(begun < at <= ended for times in written for at in times)
    together = count / (ended - begun)
    return Row(
        f"{AT_ONCE} answers at once, tokens a second",
        f"{together:.1f}",
        f"one answer alone {alone:.1f}: {together / alone:.2f}x",
        ">= 1.8x",
        together >= 1.8 * alone,
    )


def _pause(engine: OpenAIEngine) -> Row:
    """The longest wait for an answer's next token while a long prompt of somebody else is read."""
    times: list[float] = []
    started = threading.Event()

    def write() -> None:
        for at in _stream(engine, _asked(0, 200), 400, str(uuid.uuid4())):
            times.append(at)
            if len(times) == 10:
                started.set()

    writer = threading.Thread(target=write)
    writer.start()
    started.wait(120)
    begun = time.perf_counter()
    read = begun + _times(engine, _asked(1, 2 * PROMPT_CHARS), 2)[0]
    writer.join()
    beside = [at for at in times if begun <= at <= read]
    pauses = sorted(1000 * (after - before) for before, after in pairwise(beside))
    return Row(
        "an answer's longest pause beside a long prompt",
        f"{pauses[-1]:.0f} ms",
        f"{len(pauses)} tokens, the middle one after {statistics.median(pauses):.0f} ms",
        f"<= {PAUSE_MS} ms",
        pauses[-1] <= PAUSE_MS,
    )


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _asked(number: int, chars: int = PROMPT_CHARS) -> Messages:
    """A prompt that no earlier one begins like."""
    text = long_text(number, 8).decode()[:chars]
    return [_said("system", f"{uuid.uuid4()}: say at length what the text is about."), _said("user", text)]


def _times(
    engine: OpenAIEngine,
    asked: Sequence[Mapping[str, str]],
    tokens: int,
    tenant: str = "",
    since: float | None = None,
) -> list[float]:
    """When each token came, in seconds after the question or after `since`."""
    begun = time.perf_counter() if since is None else since
    return [at - begun for at in _stream(engine, asked, tokens, tenant or str(uuid.uuid4()))]


def _stream(
    engine: OpenAIEngine, asked: Sequence[Mapping[str, str]], tokens: int, tenant: str
) -> Iterator[float]:
    events = engine.chat(asked, max_tokens=tokens, tenant=tenant, conversation="bench")
    with closing(events):  # type: ignore[type-var]  # a generator
        for event in events:
            if isinstance(event, Token):
                yield time.perf_counter()


def _speed(times: Sequence[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0])
