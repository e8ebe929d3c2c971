"""What an answer that came to its end is: supported, weak, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muniment.conversations.models import TurnState
from muniment.conversations.statements import Statement, Verdict

_CITATION = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
# How models say in English that the passages hold no answer.
_REFUSAL = re.compile(
    r"(i'?m sorry|sorry|unfortunately|i (do not|don't|cannot|can't)"
    r"|(the|these|none of the)( \w+)? (passages?|documents?|text) (do(es)?|did|has|have) ?(not|n't|no)"
    r"|(there is|it is) (no|not) (information|mention|mentioned|stated|specified)"
    r"|no (information|mention)|the (answer|information) is not)\b",
    re.IGNORECASE,
)


def verdict(answer: str, statements: Sequence[Statement]) -> TurnState:
    """How an answer that came to its end is to be shown."""
    verdicts = {statement.verdict for statement in statements}
    if refuses(answer) or verdicts <= {Verdict.UNSUPPORTED}:
        return TurnState.NOT_IN_DOCUMENTS
    return TurnState.ANSWERED if verdicts == {Verdict.SUPPORTED} else TurnState.WEAK


def refuses(answer: str) -> bool:
    """Whether it begins by saying that the passages hold no answer."""
    return bool(_REFUSAL.match(_CITATION.sub("", answer).strip()))
