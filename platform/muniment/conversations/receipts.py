"""What made an answer: its words, and everything else by hash.

A receipt holds the words of its question and answer, so it is its asker's.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from muniment.conversations import queries
from muniment.conversations.models import ENDED_TURNS, Turn
from muniment.scope import Scope

FORMAT = 1


class NoReceipt(Exception):
    """There is nothing to be proved or made again; the sentence says why."""


def has_receipt(turn: Turn) -> bool:
    """Whether a model wrote to it, and has ended."""
    return turn.state in ENDED_TURNS and bool(turn.receipt.get("prompt_commit"))


def receipt_of(scope: Scope, turn_id: UUID) -> dict[str, Any]:
    """Of one's own answer. Raises `NotFound`, `NoReceipt`."""
    turn = queries.turn(scope, turn_id)
    if not has_receipt(turn):
        raise NoReceipt("No model wrote an answer to this question, so there is nothing to make again.")
    earlier = turn.conversation.turns.filter(ordinal__lt=turn.ordinal).order_by("-ordinal")
    before = earlier.values_list("question", flat=True).first()
    return {
        "format": FORMAT,
        "turn": str(turn.id),
        "asked": turn.created_at.isoformat(timespec="seconds"),
        "question": turn.question,
        "question_before": (before or "")[:500],
        "searched": turn.searched,
        "libraries": turn.conversation.libraries,
        "documents": turn.conversation.documents,
        "mode": turn.mode,
        "model": turn.model,
        "state": turn.state,
        "answer": turn.answer,
        "answer_sha256": hashlib.sha256(turn.answer.encode()).hexdigest(),
        "timings": turn.timings,
        **turn.receipt,
    }
