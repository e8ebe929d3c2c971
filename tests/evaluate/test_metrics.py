"""What is measured: known values, and what must hold for every ranking."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.evaluate import metrics

ITEMS = st.integers(0, 30)
RANKINGS = st.lists(ITEMS, unique=True, max_size=25)
GRADES = st.dictionaries(ITEMS, st.integers(-1, 4), max_size=12)


def test_ndcg_of_a_ranking_worked_out_by_hand() -> None:
    gained = 3 / math.log2(2) + 0 + 2 / math.log2(4)
    best = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert metrics.ndcg(["a", "x", "b"], {"a": 3, "b": 2, "c": 1}) == pytest.approx(gained / best)


def test_ranks_recall_and_hits_worked_out_by_hand() -> None:
    assert metrics.reciprocal_rank(["x", "y", "a"], {"a"}) == pytest.approx(1 / 3)
    assert metrics.reciprocal_rank(["x", "a"], {"a"}, k=1) == 0
    assert metrics.recall(["a", "x", "b", "c"], {"a", "b", "c", "d"}, 3) == 0.5
    assert [metrics.hit(["x", "a"], {"a"}, k) for k in (1, 2)] == [0, 1]


@given(RANKINGS, GRADES)
def test_ndcg_lies_between_none_and_the_best_ranking(ranking: list[int], grades: dict[int, int]) -> None:
    value = metrics.ndcg(ranking, grades)
    assert 0 <= value <= 1 + 1e-9
    relevant = [item for item, grade in grades.items() if grade > 0]
    assert (value == 0) == (not set(ranking[:10]) & set(relevant))
    best = sorted(grades, key=lambda item: -grades[item])
    assert metrics.ndcg(best, grades) == pytest.approx(1.0 if relevant else 0.0)


@given(RANKINGS, GRADES, st.data())
def test_moving_something_better_up_never_lowers_ndcg(
    ranking: list[int], grades: dict[int, int], data: st.DataObject
) -> None:
    if len(ranking) < 2:
        return
    at = data.draw(st.integers(0, len(ranking) - 2))
    one, next_one = (max(grades.get(item, 0), 0) for item in ranking[at : at + 2])
    swapped = [*ranking[:at], ranking[at + 1], ranking[at], *ranking[at + 2 :]]
    change = metrics.ndcg(swapped, grades) - metrics.ndcg(ranking, grades)
    assert change >= -1e-9 if next_one >= one else change <= 1e-9


@given(RANKINGS, st.sets(ITEMS), st.integers(1, 20))
def test_more_is_found_further_down(ranking: list[int], relevant: set[int], k: int) -> None:
    assert metrics.recall(ranking, relevant, k) <= metrics.recall(ranking, relevant, k + 1)
    assert metrics.hit(ranking, relevant, k) == float(metrics.recall(ranking, relevant, k) > 0)
    assert metrics.reciprocal_rank(ranking, relevant, k) <= metrics.hit(ranking, relevant, k)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(1, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = metrics.percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


def test_a_passage_meets_what_it_holds_and_what_holds_it() -> None:
    passage = "The lamp over the door is green. It is lit at dusk, and put out at ten."
    assert metrics.meets(passage, "ten")
    assert metrics.meets(passage, "The lamp over\n the door, is GREEN")
    assert metrics.meets(passage, f"Of lights and doors. {passage} Everybody must know that by heart.")
    assert not metrics.meets(passage, "The lamp over the stairs is red and nobody puts it out.")
    assert not metrics.meets(passage, "twelve")
    assert not metrics.meets(passage, " - ")


@given(st.text(), st.text())
def test_meeting_goes_both_ways(one: str, other: str) -> None:
    assert metrics.meets(one, other) == metrics.meets(other, one)
