"""Citations are checked against what the model was given; an answer without any is not called supported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.conversations.models import TurnState
from workers.answer import ground


@pytest.mark.parametrize(
    ("answer", "cited"),
    [
        ("Within 24 hours [1].", [1]),
        ("Within 24 hours [1][2], by voice [1].", [1, 2]),
        ("Within 24 hours [1, 2].", [1, 2]),
        ("Nothing cited.", []),
        ("An invented number [7].", []),
        ("A year [2024] is no citation.", []),
        ("[0] and [-1] are none.", []),
    ],
)
def test_citations_are_the_given_numbers_in_order(answer: str, cited: list[int]) -> None:
    assert ground.citations(answer, {1, 2, 3}) == cited


@given(st.text(alphabet="[]0123456789, ab", max_size=80), st.sets(st.integers(1, 30)))
def test_nothing_outside_what_was_given_is_ever_cited(answer: str, numbers: set[int]) -> None:
    cited = ground.citations(answer, numbers)
    assert set(cited) <= numbers
    assert len(cited) == len(set(cited))


@pytest.mark.parametrize(
    ("answer", "cited", "state"),
    [
        ("Within 24 hours [1].", [1], TurnState.ANSWERED),
        ("Within 24 hours.", [], TurnState.WEAK),
        ("The passages do not say who chairs it.", [], TurnState.NOT_IN_DOCUMENTS),
        ("The provided passages do not contain this [1].", [1], TurnState.NOT_IN_DOCUMENTS),
        ("I'm sorry, but nothing is said about it.", [], TurnState.NOT_IN_DOCUMENTS),
        ("There is no mention of a canteen.", [], TurnState.NOT_IN_DOCUMENTS),
        ("The passages of the law hold for all [1].", [1], TurnState.ANSWERED),
        ("There is no limit [1].", [1], TurnState.ANSWERED),
        ("", [], TurnState.NOT_IN_DOCUMENTS),
    ],
)
def test_an_answer_is_called_what_it_is(answer: str, cited: list[int], state: TurnState) -> None:
    assert ground.verdict(answer, cited) == state
