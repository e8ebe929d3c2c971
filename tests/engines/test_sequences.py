"""Who gets which place in the context, what is shared there, and what goes first."""

from __future__ import annotations

from workers.engines.generator import pieces
from workers.engines.sequences import Held, Sequences


class Cells:
    """A context of 100 tokens and four sequences, that notes what is asked of it."""

    cells, sequences, shares_prefixes = 100, 4, True

    def __init__(self) -> None:
        self.copied: list[int] = []

    def copy(self, source: int, target: int, count: int) -> None:
        self.copied.append(count)

    def forget(self, sequence: int) -> None:
        """Nothing is kept here."""


def _answered(sequences: Sequences, tenant: str, prompt: list[int]) -> Held:
    """A sequence that has been read and waits to be reused."""
    held = sequences.take(tenant, prompt, len(prompt) + 5)
    assert held
    sequences.grow(held, prompt[len(held.tokens) :])
    sequences.release(held)
    return held


def test_a_prompt_begins_with_what_its_tenant_has_read() -> None:
    sequences = Sequences(memory := Cells())
    _answered(sequences, "a", [1, 2, 3, 4])
    held = sequences.take("a", [1, 2, 9, 9], 10)
    assert held and held.tokens == [1, 2]
    assert memory.copied == [2]


def test_the_longest_common_start_is_taken() -> None:
    sequences = Sequences(Cells())
    _answered(sequences, "a", [1, 2, 3, 4, 5])
    _answered(sequences, "a", [1, 7, 7])
    held = sequences.take("a", [1, 2, 3, 4, 8, 8], 10)
    assert held and held.tokens == [1, 2, 3, 4]


def test_the_start_of_an_answer_that_still_runs_is_shared_too() -> None:
    sequences = Sequences(Cells())
    running = sequences.take("a", [1, 2, 3], 10)
    assert running
    sequences.grow(running, [1, 2, 3])
    held = sequences.take("a", [1, 2, 3, 4], 10)
    assert held and held.tokens == [1, 2, 3] and running in sequences.held


def test_nothing_is_shared_between_tenants_nor_without_one() -> None:
    sequences = Sequences(memory := Cells())
    for other in ("b", ""):
        _answered(sequences, "a", [1, 2, 3, 4])
        held = sequences.take(other, [1, 2, 3, 4], 10)
        assert held and held.tokens == []
        sequences.release(held)
    assert [held.tenant for held in sequences.held if not held.tenant] == []
    assert memory.copied == [3]


def test_the_last_token_is_always_read() -> None:
    sequences = Sequences(Cells())
    _answered(sequences, "a", [1, 2, 3])
    held = sequences.take("a", [1, 2, 3], 10)
    assert held and held.tokens == [1, 2]


def test_what_a_follow_up_holds_whole_is_not_kept_twice() -> None:
    sequences = Sequences(Cells())
    first = _answered(sequences, "a", [1, 2, 3])
    held = sequences.take("a", [1, 2, 3, 4, 5], 10)
    assert sequences.held == [held] and first not in sequences.held


def test_the_least_recently_used_goes_when_place_is_needed() -> None:
    sequences = Sequences(Cells())
    old, newer = (_answered(sequences, tenant, list(range(n, n + 30))) for tenant, n in (("a", 0), ("b", 50)))
    assert sequences.take("c", [200] * 20, 50)
    assert old not in sequences.held and newer in sequences.held


def test_an_answer_starts_only_when_all_it_may_write_fits_beside_the_running() -> None:
    sequences = Sequences(Cells())
    running = sequences.take("a", [1] * 10, 60)
    idle = _answered(sequences, "b", [2, 3])
    assert running and sequences.take("c", [5] * 10, 41) is None
    assert idle in sequences.held, "nothing is forgotten for what does not fit all the same"
    assert sequences.take("c", [5] * 10, 40)


def test_shared_cells_count_once() -> None:
    sequences = Sequences(Cells())
    start = list(range(60))
    running = sequences.take("a", [*start, 1], 61)
    assert running
    sequences.grow(running, [*start, 1])
    assert sequences.take("b", [*start, 2], 61) is None
    assert sequences.take("a", [*start, 2], 99)


def test_half_of_a_batch_is_for_the_prompt_that_ends_first_the_rest_for_who_came_first() -> None:
    assert pieces([100, 4], 8) == [4, 4]
    assert pieces([100, 90, 10], 8) == [4, 0, 4]
    assert pieces([100, 2], 8) == [6, 2]
    assert pieces([3, 2], 8) == [3, 2]
