"""The yardsticks rank as the textbook says."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.evaluate.baselines import Bm25, fused, windows


def test_bm25_worked_out_by_hand() -> None:
    scores = Bm25(["red lamp", "green lamp lamp", "a door"], "english").scores("the lamps")
    rarity = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean = 7 / 3
    expected = [
        rarity * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * length / mean))
        for often, length in ((1, 2), (2, 3))
    ]
    assert scores[:2].tolist() == pytest.approx(expected)
    assert scores[2] == -numpy.inf


def test_a_stemmer_of_another_language_is_used() -> None:
    assert numpy.isfinite(Bm25(["die Häuser"], "german").scores("Haus")[0])
    assert not numpy.isfinite(Bm25(["die Häuser"], "english").scores("Haus")[0])


def test_fusion_adds_the_inverse_ranks() -> None:
    sides = [numpy.array([3.0, 2.0, -numpy.inf]), numpy.array([-numpy.inf, 5.0, 4.0])]
    found = fused([side.astype(numpy.float32) for side in sides])
    assert found.tolist() == pytest.approx([1 / 61, 1 / 62 + 1 / 61, 1 / 62])


@given(st.integers(0, 1500))
def test_windows_hold_every_token_once(count: int) -> None:
    tokens = [(3 * at, 3 * at + 2) for at in range(count)]
    cut = list(windows(tokens))
    assert all((end - start + 1) // 3 == 254 for start, end in cut[:-1])
    covered = [token for token in tokens if any(s <= token[0] and token[1] <= e for s, e in cut)]
    assert covered == tokens
    assert all(one[1] <= other[0] for one, other in pairwise(cut))
