"""What the model's context holds: sequences of tokens, each of one tenant, in cells that they share.

A cell keeps one token at one position. Sequences of one tenant that begin alike share the cells of their
common start; what two tenants have in common is never looked at. Belongs to the generator's thread.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Part:
    """Tokens of a batch that go on with a sequence from `position`; after the last of them the next
    token may be sampled if it is `sampled`."""

    sequence: int
    position: int
    tokens: Sequence[int]
    sampled: bool


class Memory(Protocol):
    """What `LanguageModel` offers: numbered sequences, and the cells of all of them together."""

    cells: int
    sequences: int
    shares_prefixes: bool

    def copy(self, source: int, target: int, count: int) -> None:
        """Let `target`, which is empty, begin with the first `count` tokens of `source`."""

    def forget(self, sequence: int) -> None: ...


@dataclass(eq=False)
class Held:
    """A sequence in the context. `cells` has a number for each of `tokens`: the same one, the same cell.

    `room` is how many tokens it may grow to while its answer runs, 0 while it only waits to be reused.
    """

    id: int
    tenant: str
    room: int
    tokens: list[int] = field(default_factory=list)
    cells: list[int] = field(default_factory=list)


class Sequences:
    """Gives answers their place in the context. What is idle goes when place is needed, least recently
    used first. One number of a sequence is always free."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        # In the order of their last use.
        self.held: list[Held] = []
        self._numbers = itertools.count()

    def take(self, tenant: str, prompt: Sequence[int], room: int) -> Held | None:
        """A place for a prompt that may grow to `room` tokens, with what is known of it already.

        None while running answers leave too few cells.
        """
        like, common = self._most_alike(tenant, prompt)
        taken = Held(self._free_id(), tenant, room)
        if like:
            taken.tokens, taken.cells = like.tokens[:common], like.cells[:common]
        running = [held for held in self.held if held.room]
        if _needed([*running, taken]) > self._memory.cells:
            return None
        if like:
            self._memory.copy(like.id, taken.id, common)
            if not like.room and common == len(like.tokens):
                # All that it held is in the new one.
                self.forget(like)
        self.held.append(taken)
        while len(self.held) >= self._memory.sequences or _needed(self.held) > self._memory.cells:
            self.forget(next(held for held in self.held if not held.room))
        return taken

    def grow(self, held: Held, tokens: Sequence[int]) -> None:
        """Note that these were evaluated at its end."""
        held.tokens += tokens
        held.cells += itertools.islice(self._numbers, len(tokens))

    def release(self, held: Held) -> None:
        """Its answer has ended: keep it for the tenant's next one, or forget it where there is no tenant."""
        held.room = 0
        self.held.remove(held)
        self.held.append(held)
        if not held.tenant:
            self.forget(held)

    def forget(self, held: Held) -> None:
        self._memory.forget(held.id)
        self.held.remove(held)

    def _most_alike(self, tenant: str, prompt: Sequence[int]) -> tuple[Held | None, int]:
        """The tenant's sequence with the longest common start, and that start's length, 0 for none."""
        if not tenant or not self._memory.shares_prefixes:
            return None, 0
        # The last token is always evaluated: the first one of the answer is sampled from it.
        known = prompt[:-1]
        lengths = {held: _common(held.tokens, known) for held in self.held if held.tenant == tenant}
        like = max(lengths, key=lengths.__getitem__, default=None)
        return (like, lengths[like]) if like and lengths[like] else (None, 0)

    def _free_id(self) -> int:
        taken = {held.id for held in self.held}
        return next(n for n in range(self._memory.sequences) if n not in taken)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _needed(sequences: Iterable[Held]) -> int:
    """Cells of these sequences when all of them have grown as far as they may."""
    sequences = list(sequences)
    shared = len(set[int]().union(*(held.cells for held in sequences)))
    return shared + sum(max(0, held.room - len(held.tokens)) for held in sequences)
