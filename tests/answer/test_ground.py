"""An answer is called by what was found about its sentences, and by what it says itself."""

from __future__ import annotations

import pytest

from muniment.conversations.models import TurnState
from muniment.conversations.statements import Statement, Verdict
from workers.answer import ground

SUPPORTED, WEAK, UNSUPPORTED = Verdict.SUPPORTED, Verdict.WEAK, Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    ("answer", "verdicts", "state"),
    [
        ("Within 24 hours [1].", [SUPPORTED], TurnState.ANSWERED),
        ("Within 24 hours.", [WEAK], TurnState.WEAK),
        ("Within 24 hours. By voice.", [SUPPORTED, UNSUPPORTED], TurnState.WEAK),
        ("Within 24 hours. By voice.", [UNSUPPORTED, UNSUPPORTED], TurnState.NOT_IN_DOCUMENTS),
        ("The passages do not say who chairs it.", [SUPPORTED], TurnState.NOT_IN_DOCUMENTS),
        ("The provided passages do not contain this [1].", [WEAK], TurnState.NOT_IN_DOCUMENTS),
        ("I'm sorry, but nothing is said about it.", [WEAK], TurnState.NOT_IN_DOCUMENTS),
        ("There is no mention of a canteen.", [WEAK], TurnState.NOT_IN_DOCUMENTS),
        ("The passages of the law hold for all [1].", [SUPPORTED], TurnState.ANSWERED),
        ("There is no limit [1].", [SUPPORTED], TurnState.ANSWERED),
        ("", [], TurnState.NOT_IN_DOCUMENTS),
    ],
)
def test_an_answer_is_called_what_it_is(answer: str, verdicts: list[Verdict], state: TurnState) -> None:
    assert ground.verdict(answer, [Statement(0, 1, verdict) for verdict in verdicts]) == state
