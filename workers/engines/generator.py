"""The queue for the language model and the one thread that owns it.

Answers are given one after the other. Who waits is served in turn by tenant, not by request, so a
tenant with many questions does not hold up the others.
"""

from __future__ import annotations

import bisect
import codecs
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.engines.llama import LanguageModel, Sampler

logger = logging.getLogger(__name__)

# One piece of a prompt should take about this long: a cancelled request is noticed between pieces.
PIECE_SECONDS = 0.75
# Measured on two idle cores with the default model, tokens a second: 94 with 512 at once, 89 in pieces of 64,
# 80 of 32, 66 of 16. So pieces are never smaller than 32, even where that takes longer.
FIRST_PIECE, SMALLEST_PIECE, LARGEST_PIECE = 32, 32, 512
MAX_WAITING = 256
# An answer is waited for by the minute, a page and the embedding of its question by the second.
NICE = 15


class QueueFull(Exception):
    """Too many requests wait for the language model."""


@dataclass(frozen=True)
class Position:
    """So many answers come first."""

    others: int


@dataclass(frozen=True)
class Started:
    """Reading a prompt of so many tokens begins; `cached_n` of them need no work."""

    prompt_n: int
    cached_n: int


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Done:
    """`reason` is stop, length, cancelled or failed; times in milliseconds."""

    reason: str
    queued_ms: float = 0.0
    prompt_ms: float = 0.0
    predicted_ms: float = 0.0
    prompt_n: int = 0
    cached_n: int = 0
    predicted_n: int = 0


Event = Position | Started | Text | Done


@dataclass(eq=False)
class Task:
    """One answer to generate. Without a tenant nothing is kept of the prompt for later.

    For speed trials, `ignore_end` goes on after the model's own end, and `read_for` and `write_for`
    limit the two phases in seconds.
    """

    prompt: list[int]
    max_tokens: int
    sampler: Callable[[], Sampler]
    tenant: str = ""
    stop: tuple[str, ...] = ()
    ignore_end: bool = False
    read_for: float = float("inf")
    write_for: float = float("inf")
    sink: Callable[[Event], None] = field(init=False)
    round: int = 0
    position: int = 0
    arrived: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)


class FairQueue:
    """Waiting tasks in the order in which they will be served: one task of each tenant a round.

    Not locked; the generator does that.
    """

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self._round = 0
        # Tenants already served in this round; who is not named here may still join it.
        self._served: dict[str, int] = {}

    def add(self, task: Task) -> None:
        rounds = [waiting.round for waiting in self.tasks if waiting.tenant == task.tenant]
        last = max(rounds, default=self._served.get(task.tenant, -1))
        task.round = max(self._round, last + 1)
        bisect.insort(self.tasks, task, key=lambda waiting: waiting.round)

    def pop(self) -> Task:
        task = self.tasks.pop(0)
        self._round = task.round
        self._served = {tenant: n for tenant, n in self._served.items() if n >= task.round}
        self._served[task.tenant] = task.round
        return task


class TextAssembler:
    """Turns bytes of tokens into text: whole characters only, nothing from a stop string on."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = stop
        self._held = ""
        self.stopped = False

    def add(self, data: bytes) -> str:
        """Text that is certain now. What might become a stop string is held back."""
        self._held += self._decoder.decode(data)
        found = [at for s in self._stop if (at := self._held.find(s)) >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
            return text
        keep = max((self._overlap(s) for s in self._stop), default=0)
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return text

    def rest(self) -> str:
        """What was held back when no stop string came. An unfinished character is dropped."""
        text, self._held = self._held, ""
        return text

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of the held text with which `stop` begins."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)


class Generator(threading.Thread):
    """Owns the model's context. `submit` and `cancel` may be called from any thread."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__(name="generator", daemon=True)
        self._model = model
        self._queue = FairQueue()
        self._changed = threading.Condition()
        self._running: Task | None = None
        self._closed = False
        # The tokens in the context and the tenant they belong to: never compared with another's prompt.
        self._evaluated: list[int] = []
        self._evaluated_for = ""
        self._piece = FIRST_PIECE

    def submit(self, task: Task, sink: Callable[[Event], None]) -> None:
        """Queue a task. `sink` receives its events, the last one is Done; it is called on any thread
        and must not block. Raises QueueFull."""
        task.sink = sink
        with self._changed:
            if len(self._queue.tasks) >= MAX_WAITING:
                raise QueueFull("Too many questions wait for the language model. Try again in a minute.")
            self._queue.add(task)
            self._tell_positions()
            self._changed.notify()

    def cancel(self, task: Task) -> None:
        """End a task, waiting or running; a running one stops after the piece in work."""
        task.cancelled.set()
        with self._changed:
            if task in self._queue.tasks:
                self._queue.tasks.remove(task)
                self._tell_positions()

    def close(self) -> None:
        """End the running task and the thread."""
        with self._changed:
            self._closed = True
            if self._running:
                self._running.cancelled.set()
            self._changed.notify()

    def run(self) -> None:
        # On Linux of this thread alone, and of those that the model computes with.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while task := self._next():
            try:
                done = self._answer(task)
            except Exception:
                # One broken answer must not take the engine down; what the context holds is unknown now.
                logger.exception("generation failed")
                self._evaluated, self._evaluated_for = [], ""
                done = Done("failed")
            with self._changed:
                self._running = None
            task.sink(done)

    def _next(self) -> Task | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue.tasks or self._closed)
            if self._closed:
                return None
            self._running = self._queue.pop()
            self._tell_positions()
            return self._running

    def _tell_positions(self) -> None:
        for others, task in enumerate(self._queue.tasks, start=1 if self._running else 0):
            if others != task.position:
                task.position = others
                task.sink(Position(others))

    def _answer(self, task: Task) -> Done:
        started = time.monotonic()
        cached = self._reuse(task)
        task.sink(Started(len(task.prompt), cached))
        complete = self._read(task, cached, started)
        read = time.monotonic()
        reason, count = self._write(task, read) if complete else ("cancelled", 0)
        ended = time.monotonic()
        return Done(
            reason=reason,
            queued_ms=(started - task.arrived) * 1000,
            prompt_ms=(read - started) * 1000,
            predicted_ms=(ended - read) * 1000,
            prompt_n=len(task.prompt),
            cached_n=cached,
            predicted_n=count,
        )

    def _reuse(self, task: Task) -> int:
        """How many tokens of the prompt are in the context already, from the same tenant."""
        common = 0
        if task.tenant and task.tenant == self._evaluated_for:
            # The last token is always evaluated: the first one of the answer is sampled from it.
            for held, wanted in zip(self._evaluated, task.prompt[:-1], strict=False):
                if held != wanted:
                    break
                common += 1
        common = self._model.keep(common)
        del self._evaluated[common:]
        self._evaluated_for = task.tenant
        return common

    def _read(self, task: Task, position: int, started: float) -> bool:
        """Evaluate the prompt from `position` on in pieces; False when cancelled on the way."""
        end = len(task.prompt)
        while position < end:
            before = time.monotonic()
            if task.cancelled.is_set():
                return False
            if before - started > task.read_for:
                end = min(end, position + self._piece)
                del task.prompt[end:]
            piece = task.prompt[position : position + self._piece]
            position += len(piece)
            self._model.evaluate(piece, position - len(piece), last=position == end)
            self._evaluated += piece
            if len(piece) == self._piece:
                self._adapt(len(piece) / max(time.monotonic() - before, 1e-6))
        return True

    def _adapt(self, tokens_per_second: float) -> None:
        """Choose the size of the next piece: at most twice the last one, in steps of eight."""
        fits = int(tokens_per_second * PIECE_SECONDS) // 8 * 8
        self._piece = max(SMALLEST_PIECE, min(fits, 2 * self._piece, LARGEST_PIECE))

    def _write(self, task: Task, started: float) -> tuple[str, int]:
        """Generate; gives the reason for the end and the number of tokens."""
        sampler = task.sampler()
        text = TextAssembler(task.stop)
        try:
            reason, count = self._sample_all(task, sampler, text, started + task.write_for)
        finally:
            sampler.close()
        if reason != "cancelled" and (rest := text.rest()):
            task.sink(Text(rest))
        return reason, count

    def _sample_all(self, task: Task, sampler: Sampler, text: TextAssembler, until: float) -> tuple[str, int]:
        room = min(task.max_tokens, self._model.context_tokens - len(task.prompt))
        for count in range(1, room + 1):
            if task.cancelled.is_set():
                return "cancelled", count - 1
            token = self._model.sample(sampler)
            if self._model.ends(token) and not task.ignore_end:
                return "stop", count - 1
            if ready := text.add(self._model.piece(token)):
                task.sink(Text(ready))
            if text.stopped:
                return "stop", count
            if count == room or time.monotonic() > until:
                return "length", count
            self._model.evaluate([token], len(self._evaluated))
            self._evaluated.append(token)
        return "length", room
