"""Two runs compared: counts that add up, and a test that tells a change from chance."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.evaluation.comparison import EXACT, compare, p_value

CHANGES = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), max_size=EXACT)


def test_the_exact_value_worked_out_by_hand() -> None:
    # Of the eight ways to sign 1, 1, 1 only all plus and all minus are as far from zero.
    assert p_value([1, 1, 1]) == pytest.approx(2 / 8)
    assert p_value([1, -1]) == 1.0
    assert p_value([0, 0]) == p_value([]) == 1.0


def test_a_clear_change_is_none_of_chance_and_a_coin_is() -> None:
    assert p_value([0.1] * 40) < 0.01
    coin = random.Random(7)
    assert p_value([coin.choice([-0.1, 0.1]) for _n in range(200)]) > 0.05


@given(CHANGES)
def test_the_value_is_a_probability_and_does_not_know_directions(changes: list[float]) -> None:
    value = p_value(changes)
    assert 0 < value <= 1
    assert p_value([-change for change in changes]) == value


def test_sampling_comes_near_to_trying_all() -> None:
    changes = [0.4, -0.1, 0.3, 0.2, -0.2, 0.5, 0.1, -0.3, 0.2, 0.1, 0.3, 0.2]
    assert p_value([*changes, 1e-6]) == pytest.approx(p_value(changes), abs=0.02)


def test_questions_of_both_runs_are_counted() -> None:
    before = {"a": {"m": 0.0}, "b": {"m": 1.0}, "c": {"m": 0.5}, "gone": {"m": 1.0}}
    after = {"a": {"m": 1.0}, "b": {"m": 0.5}, "c": {"m": 0.5}, "new": {"m": 0.0}, "d": {"other": 1.0}}
    (found,) = compare(before, after)
    assert (found.measure, found.better, found.worse, found.same) == ("m", 1, 1, 1)
    assert (found.before, found.after) == (pytest.approx(0.5), pytest.approx(2 / 3))
    assert found.is_noise
