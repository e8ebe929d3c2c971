"""What an answer may claim, as a whole: whether anything found has to do with it, and what supports it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from muniment.conversations.models import TurnState
from muniment.conversations.statements import Statement, Verdict
from workers.answer.retrieve import Candidate

_CITATION = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
# How models say in English that the passages hold no answer.
_REFUSAL = re.compile(
    r"(i'?m sorry|sorry|unfortunately|i (do not|don't|cannot|can't)"
    r"|(the|these|none of the)( \w+)? (passages?|documents?|text) (do(es)?|did|has|have) ?(not|n't|no)"
    r"|(there is|it is) (no|not) (information|mention|mentioned|stated|specified)"
    r"|no (information|mention)|the (answer|information) is not)\b",
    re.IGNORECASE,
)

# Below both, nothing found has to do with the question. Low on purpose: a wrong refusal costs an answer,
# and a question that gets through still meets the model's own judgement.
LEAST_SIMILARITY = 0.25
LEAST_OVERLAP = 0.34


def relevant(candidates: Sequence[Candidate]) -> bool:
    """Whether any passage found may have to do with the question."""
    return any(c.similarity >= LEAST_SIMILARITY or c.overlap >= LEAST_OVERLAP for c in candidates)


def verdict(answer: str, statements: Sequence[Statement]) -> TurnState:
    """How an answer that came to its end is to be shown."""
    verdicts = {statement.verdict for statement in statements}
    if _REFUSAL.match(_CITATION.sub("", answer).strip()) or verdicts <= {Verdict.UNSUPPORTED}:
        return TurnState.NOT_IN_DOCUMENTS
    return TurnState.ANSWERED if verdicts == {Verdict.SUPPORTED} else TurnState.WEAK
