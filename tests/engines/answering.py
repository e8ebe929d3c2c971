"""The generator over the small model in the tests' own process."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.engines.generator import Generator
from workers.engines.llama import LanguageModel
from workers.engines.queueing import Done, Event, Started, Task, Text
from workers.engines.sampling import Sampler


@dataclass
class Asked:
    """A submitted task and its events as they come."""

    task: Task
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    seen: list[Event] = field(default_factory=list)

    def until(self, kind: type[Event]) -> Any:
        """The next event of a kind, within a minute."""
        while True:
            event = self.events.get(timeout=60)
            self.seen.append(event)
            if isinstance(event, kind):
                return event
            assert not isinstance(event, Done), event

    def done(self) -> Done:
        done: Done = self.until(Done)
        return done

    def text(self) -> str:
        return "".join(event.text for event in self.seen if isinstance(event, Text))

    def cached(self) -> int:
        [started] = [event for event in self.seen if isinstance(event, Started)]
        return started.cached_n


@dataclass
class Answering:
    """Submits prompts; `ask` gives what may be waited for."""

    model: LanguageModel
    generator: Generator

    def ask(self, prompt: Sequence[int], max_tokens: int = 8, tenant: str = "", **sampling: Any) -> Asked:
        task = Task(list(prompt), max_tokens, Sampler(self.model.vocab, **sampling), tenant)
        asked = Asked(task)
        self.generator.submit(task, asked.events.put)
        return asked
