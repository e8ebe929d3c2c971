"""The one thread that owns the language model's context, and answers several questions at once in it.

Each batch holds the next token of every answer that is being written, and between them pieces of the
prompts that are still to be read.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workers.engines.errors import EvaluationAborted, EvaluationFailed
from workers.engines.queueing import Done, Event, FairQueue, Position, QueueFull, Started, Task, Text
from workers.engines.sequences import Held, Part, Sequences
from workers.engines.text_assembler import TextAssembler

if TYPE_CHECKING:
    from workers.engines.llama import LanguageModel

logger = logging.getLogger(__name__)

# How long a batch should take: with prompts alone newcomers wait for it, beside answers each of their tokens.
ALONE_SECONDS, BESIDE_SECONDS = 1.5, 0.2
# Measured on two idle cores with the default model, tokens a second: 94 with 512 at once, 89 in pieces of 64,
# 80 of 32, 66 of 16. So pieces are never smaller than 32 alone, even where that takes longer.
SMALLEST_ALONE, SMALLEST_BESIDE, LARGEST = 32, 4, 512
MAX_WAITING = 256
# An answer is waited for by the minute, a page and the embedding of its question by the second.
NICE = 15


class Pace:
    """Learns how many tokens a batch may have to take `seconds`."""

    def __init__(self, seconds: float, smallest: int) -> None:
        self._seconds, self._smallest = seconds, smallest
        self.size = smallest

    def learn(self, tokens: int, seconds: float) -> None:
        """At most twice as many as last time; what was smaller than it might be tells nothing."""
        if tokens >= self.size:
            fits = int(tokens / max(seconds, 1e-6) * self._seconds)
            self.size = max(self._smallest, min(fits, 2 * self.size, LARGEST))


@dataclass(eq=False)
class Running:
    """A task that runs: its prompt is being read until the first token is sampled."""

    task: Task
    held: Held
    cached: int
    text: TextAssembler
    started: float = field(default_factory=time.monotonic)
    read: float | None = None
    # The token that was sampled last, to be evaluated next.
    token: int = 0
    count: int = 0

    @property
    def unread(self) -> int:
        return 0 if self.read else len(self.task.prompt) - len(self.held.tokens)

    def done(self, reason: str) -> Done:
        now = time.monotonic()
        read = self.read or now
        return Done(
            reason=reason,
            queued_ms=(self.started - self.task.arrived) * 1000,
            prompt_ms=(read - self.started) * 1000,
            predicted_ms=(now - read) * 1000,
            prompt_n=len(self.task.prompt),
            cached_n=self.cached,
            predicted_n=self.count,
        )


def pieces(unread: Sequence[int], budget: int) -> list[int]:
    """How much of each prompt is read next. One half of the budget goes to the prompt that is nearest to
    its end, the rest to those that came first: a short one need not wait for a long one, nor a long one
    for ever."""
    given = [0] * len(unread)
    nearest = min(range(len(unread)), key=unread.__getitem__)
    for n, most in ((nearest, -(-budget // 2)), *((n, budget) for n in range(len(unread)))):
        given[n] += min(unread[n] - given[n], most, budget - sum(given))
    return given


class Generator(threading.Thread):
    """Owns the model's context. `submit` and `cancel` may be called from any thread.

    At most `parallel` answers run at once, fewer where the context has no room for more.
    """

    def __init__(self, model: LanguageModel, parallel: int) -> None:
        super().__init__(name="generator", daemon=True)
        self._model, self._parallel = model, parallel
        self._queue = FairQueue()
        self._changed = threading.Condition()
        self._running: list[Running] = []
        self._sequences = Sequences(model)
        self._alone = Pace(ALONE_SECONDS, SMALLEST_ALONE)
        self._beside = Pace(BESIDE_SECONDS, parallel + SMALLEST_BESIDE)
        self._closed = False
        # The first in the queue waits for more than a free place: for cells, or to be alone.
        self._held_up: Task | None = None
        # The one task in the batch that is evaluated now.
        self._only: Task | None = None

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
        """End a task, waiting or running. One that runs ends after the batch in work, or with it where
        nobody else's tokens are in it."""
        task.cancelled.set()
        with self._changed:
            if task in self._queue.tasks:
                self._queue.tasks.remove(task)
                self._tell_positions()
        if self._only is task:
            self._model.abort()

    def close(self) -> None:
        """End the running answers and the thread."""
        with self._changed:
            self._closed = True
            for answer in self._running:
                answer.task.cancelled.set()
            self._changed.notify()

    def run(self) -> None:
        # On Linux of this thread alone, and of those that the model computes with.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while self._admit():
            try:
                self._step()
            except Exception:
                # Whatever it was, who waits is still answered.
                logger.exception("generation failed")
                for answer in list(self._running):
                    self._end(answer, "failed")

    def _admit(self) -> bool:
        """Wait until there is something to do, and start what fits; False when the thread shall end."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue.tasks or self._running or self._closed)
            while not self._closed and self._queue.tasks and self._start(self._queue.tasks[0]):
                self._queue.pop()
            self._tell_positions()
            return bool(self._running) or not self._closed

    def _start(self, task: Task) -> bool:
        """False while the first in the queue has to wait. Others wait behind it: else one that needs
        much room would never get it."""
        if len(self._running) >= self._parallel or self._held_up is task:
            return False
        alone = task.alone or any(answer.task.alone for answer in self._running)
        room = len(task.prompt) + task.max_tokens
        held = None if alone and self._running else self._sequences.take(task.tenant, task.prompt, room)
        if held is None:
            self._held_up = task
            return False
        text = TextAssembler(task.stop, self._model.thoughts)
        self._running.append(Running(task, held, len(held.tokens), text))
        _tell(task, Started(len(task.prompt), len(held.tokens)))
        return True

    def _tell_positions(self) -> None:
        """The first in the queue has none before it while there is a place that it will have at once."""
        full = len(self._running) >= self._parallel or self._held_up in self._queue.tasks[:1]
        for others, task in enumerate(self._queue.tasks, start=1 if full else 0):
            if others != task.position:
                task.position = others
                _tell(task, Position(others))

    def _step(self) -> None:
        """One batch: the next token of each answer, and pieces of prompts."""
        for answer in [answer for answer in self._running if answer.task.cancelled.is_set()]:
            self._end(answer, "cancelled")
        batch = self._batch()
        if not batch:
            return
        self._only = batch[0][0].task if len(batch) == 1 else None
        try:
            self._evaluate(batch)
        except EvaluationAborted:
            # Who was cancelled ends with the next step; if it was meant for another, it is done again.
            return
        except EvaluationFailed:
            for answer, tokens in batch:
                self._evaluate_alone(answer, tokens)
        finally:
            self._only = None

    def _batch(self) -> list[tuple[Running, list[int]]]:
        writers = [answer for answer in self._running if answer.read]
        readers = [answer for answer in self._running if not answer.read]
        batch = [(answer, [answer.token]) for answer in writers]
        if readers:
            pace = self._beside if writers else self._alone
            for answer in readers:
                if time.monotonic() - answer.started > answer.task.read_for:
                    del answer.task.prompt[len(answer.held.tokens) + pace.size :]
            given = pieces([answer.unread for answer in readers], pace.size - len(writers))
            batch += [
                (answer, answer.task.prompt[(n := len(answer.held.tokens)) : n + piece])
                for answer, piece in zip(readers, given, strict=True)
                if piece
            ]
        return batch

    def _evaluate(self, batch: Sequence[tuple[Running, list[int]]]) -> None:
        """Evaluate, then sample where a token can be. Raises EvaluationFailed or EvaluationAborted."""
        parts = [
            Part(answer.held.id, len(answer.held.tokens), tokens, sampled=answer.unread <= len(tokens))
            for answer, tokens in batch
        ]
        pace = self._beside if any(answer.read for answer, _ in batch) else self._alone
        begun = time.monotonic()
        rows = self._model.evaluate(parts)
        if any(answer.unread for answer, _ in batch):
            pace.learn(sum(len(tokens) for _, tokens in batch), time.monotonic() - begun)
        for answer, tokens in batch:
            self._sequences.grow(answer.held, tokens)
        for (answer, _), part, row in zip(batch, parts, rows, strict=True):
            if part.sampled:
                self._write(answer, row)

    def _evaluate_alone(self, answer: Running, tokens: list[int]) -> None:
        """After a batch that failed: only what fails by itself is given up."""
        try:
            self._evaluate([(answer, tokens)])
        except EvaluationAborted:
            return
        except EvaluationFailed:
            logger.exception("generation failed")
            self._end(answer, "failed")

    def _write(self, answer: Running, row: int) -> None:
        try:
            reason = self._sample(answer, row)
        except Exception:
            # One broken answer must not take the others down.
            logger.exception("generation failed")
            reason = "failed"
        if reason:
            self._end(answer, reason)

    def _sample(self, answer: Running, row: int) -> str | None:
        """Sample a token and tell its text; the reason if the answer has ended."""
        task = answer.task
        answer.read = answer.read or time.monotonic()
        answer.token = task.sampler.sample(self._model.context, row)
        if self._model.ends(answer.token) and not task.alone:
            return "stop"
        answer.count += 1
        if ready := answer.text.add(self._model.piece(answer.token)):
            _tell(task, Text(ready))
        if answer.text.stopped:
            return "stop"
        late = time.monotonic() - answer.read > task.write_for
        return "length" if late or answer.count == task.max_tokens else None

    def _end(self, answer: Running, reason: str) -> None:
        with self._changed:
            self._running.remove(answer)
            self._held_up = None
        if reason == "failed":
            self._sequences.forget(answer.held)
        else:
            self._sequences.release(answer.held)
        if reason in ("stop", "length") and (rest := answer.text.rest()):
            _tell(answer.task, Text(rest))
        _tell(answer.task, answer.done(reason))


def _tell(task: Task, event: Event) -> None:
    try:
        task.sink(event)
    except Exception:
        # Nobody listens any more, or not well; the others' answers go on.
        logger.exception("an event reached nobody")
