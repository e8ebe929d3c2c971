"""When to refuse is fitted to questions some of which have no answer."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from workers.answer.answerable import Evidence
from workers.evaluate import report
from workers.evaluate.calibrate import MOST_REFUSED, CalibrationError, Judged, calibrate


def questions(dataset: str, n: int, apart: float, seed: int = 0) -> list[Judged]:
    """Half with an answer, whose best passage is nearer by `apart` than that of the others."""
    draw = random.Random(seed)
    made = []
    for at in range(n):
        nearest = draw.gauss(0.3 + apart * (at % 2), 0.08)
        others = [Evidence(draw.uniform(0, 0.2), draw.uniform(0, 0.3), 0.0) for _other in range(3)]
        found = [*others, Evidence(nearest, draw.uniform(0.3, 0.7), 0.0)]
        made.append(Judged(dataset, bool(at % 2), found))
    return made


def test_what_is_far_apart_is_told_apart() -> None:
    weights, (rates,) = calibrate(questions("far", 80, 0.5))
    assert rates.auroc == pytest.approx(1.0, abs=0.01)
    assert rates.refused_rightly == pytest.approx(1.0, abs=0.05)
    assert weights.hold([Evidence(0.8, 0.5, 0.0)]) and not weights.hold([Evidence(0.3, 0.5, 0.0)])


def test_no_more_than_allowed_are_refused_wrongly_and_each_set_counts_the_same() -> None:
    weights, rates = calibrate([*questions("near", 60, 0.12), *questions("far", 300, 0.4, seed=1)])
    assert [one.dataset for one in rates] == ["near", "far"]
    wrongly = [one.refused_wrongly or 0 for one in rates]
    assert sum(wrongly) / 2 <= MOST_REFUSED
    assert (rates[0].auroc or 0) < (rates[1].auroc or 0)
    assert 0 < weights.least < 1


def test_names_that_are_missing_speak_against_an_answer() -> None:
    named = [
        Judged("names", bool(at % 2), [Evidence(0.6 + at % 7 / 100, 0.5, 0.0 if at % 2 else 1.0)])
        for at in range(60)
    ]
    weights, (rates,) = calibrate(named)
    assert weights.missing < 0 and rates.auroc == 1.0


def test_without_meaning_words_decide() -> None:
    judged = [Judged("words", bool(at % 2), [Evidence(0.5, 0.2 + 0.6 * (at % 2), 0.0)]) for at in range(60)]
    weights, _rates = calibrate(judged, by_words=True)
    assert weights.similarity == 0 and weights.overlap > 0


def test_it_takes_questions_of_both_kinds() -> None:
    few = [one for one in questions("few", 80, 0.5) if one.answerable]
    with pytest.raises(CalibrationError, match="as many without: here are 40 and 0"):
        calibrate(few)


def test_the_table_leaves_open_what_a_set_cannot_say() -> None:
    absent = [Judged("absent", False, [Evidence(0.2, 0.2, 1.0)]) for _one in range(10)]
    _weights, rates = calibrate([*questions("far", 80, 0.5), *absent])
    header, _far, row = report.rates_table(rates).splitlines()
    assert row.split() == ["absent", "0", "10", "1.000"]
    assert all(len(one) == len(other) for one, other in pairwise([header, row]))
