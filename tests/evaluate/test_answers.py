"""What is said is measured against what is known to be right."""

from __future__ import annotations

from typing import Any

import pytest

from muniment.conversations.models import TurnState
from workers.evaluate import metrics, report
from workers.evaluate.answers import Answered, measure
from workers.evaluate.dataset import Evidence, Query
from workers.evaluate.run import Found

RIGHT = Found("ledger", 3, 1.0, "Revenue rose to $8.7 billion in 2019 from $8.1 billion in 2018.")
WRONG = Found("ledger", 4, 0.9, "Nothing of the kind is told here by anybody.")


def answered(text: str, *citations: Found, state: str = TurnState.ANSWERED, **asked: Any) -> Answered:
    query = Query("q", "What was the revenue in 2019?", **{"answer": "$8.70 billion", **asked})
    return Answered(query, text, state, list(citations), {"first_token": 1.0, "total": 2.0})


def test_a_question_without_an_answer_should_be_refused() -> None:
    refused = answered("", state=TurnState.NOT_IN_DOCUMENTS, answerable=False)
    assert measure(refused) == {"refused": 1.0}
    assert measure(answered("A lot.", answerable=False)) == {"refused": 0.0}


def test_a_refusal_of_what_could_be_answered_counts_as_wrong() -> None:
    refused = answered("It was 8.7 billion.", state=TurnState.NOT_IN_DOCUMENTS)
    assert measure(refused) == {"answered": 0.0, "word-f1": 0.0, "figures": 0.0}


@pytest.mark.parametrize(
    ("said", "share"),
    [
        ("It was $8.7 billion.", 1.0),
        ("It was 8,700 million [1].", 1.0),
        ("It was $8.75 billion.", 1.0),
        ("It was $8.1 billion.", 0.0),
        ("In 2019 it was a lot.", 0.0),
    ],
)
def test_figures_are_right_within_one_in_a_hundred(said: str, share: float) -> None:
    assert measure(answered(said))["figures"] == share


def test_figures_of_the_question_prove_nothing() -> None:
    assert "figures" not in measure(answered("It rose in 2019.", answer="It rose in 2019."))


def test_marks_are_no_words_of_an_answer() -> None:
    assert measure(answered("8.70 billion [1]", answer="8.70 billion"))["word-f1"] == 1.0


@pytest.mark.parametrize(
    ("evidence", "share"),
    [
        (Evidence("ledger", None, "Revenue rose to $8.7 billion"), 0.5),
        (Evidence("ledger", 4), 0.5),
        (Evidence("ledger"), 1.0),
        (Evidence("diary"), 0.0),
    ],
)
def test_citations_are_right_where_they_hold_the_evidence(evidence: Evidence, share: float) -> None:
    assert measure(answered("8.7 billion", RIGHT, WRONG, evidence=(evidence,)))["citations"] == share


def test_word_f1_worked_out_by_hand() -> None:
    assert metrics.word_f1("The red lamp", "red Lamps and a red lamp") == pytest.approx(2 * 2 / (3 + 6))
    assert metrics.word_f1("", "red") == 0.0


def test_an_interval_lies_around_the_mean_and_narrows_with_the_number() -> None:
    few, many = metrics.interval([0.0, 1.0] * 10), metrics.interval([0.0, 1.0] * 200)
    assert few[0] < many[0] < 0.5 < many[1] < few[1]
    assert metrics.interval([1.0] * 5) == (1.0, 1.0)


def test_the_table_names_each_measure_with_its_interval() -> None:
    table = report.answers_table([{"refused": 1.0}, {"refused": 0.0, "ndcg@10": 1.0}])
    assert table.splitlines()[1].split() == ["refused", "0.500", "0.000", "1.000", "2"]
    assert "ndcg" not in table
    assert report.waiting([answered("x")]).startswith("first token: p50 1.0 s")
