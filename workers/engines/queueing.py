"""Answers to be generated: what is asked, what is told of it, and whose turn it is.

Who waits is served in turn by tenant, not by request, so a tenant with many questions does not hold up
the others.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.engines.sampling import Sampler


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

    A speed trial is `alone`: nothing runs beside it, it goes on after the model's own end, and
    `read_for` and `write_for` limit the two phases in seconds.
    """

    prompt: list[int]
    max_tokens: int
    sampler: Sampler
    tenant: str = ""
    stop: tuple[str, ...] = ()
    alone: bool = False
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
