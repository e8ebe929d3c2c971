"""What was found about each sentence of an answer, as a turn keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

# Of the stored form, so that a later one can tell.
VERSION = 1


class Verdict(StrEnum):
    SUPPORTED = "supported"
    WEAK = "weak"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Statement:
    """answer[start:end], and the numbers of the sources that it rests on, the best first.

    `reason` says what is against it: number, unit, name, negation, or "" where only nothing says enough.
    `score` is the probability that the sources say it.
    """

    start: int
    end: int
    verdict: Verdict
    sources: tuple[int, ...] = ()
    score: float = 0.0
    reason: str = ""


def stored(statements: Iterable[Statement]) -> dict[str, Any]:
    return {"v": VERSION, "statements": [asdict(statement) for statement in statements]}


def read(kept: Mapping[str, Any]) -> list[Statement]:
    """Nothing where sentences were not checked, or by a later release in a form that is not known here."""
    if kept.get("v") != VERSION:
        return []
    return [
        Statement(**{**one, "verdict": Verdict(one["verdict"]), "sources": tuple(one["sources"])})
        for one in kept["statements"]
    ]


def cited(statements: Sequence[Statement]) -> list[int]:
    """Numbers of the sources that any sentence rests on, in order of first use."""
    return list(dict.fromkeys(n for statement in statements for n in statement.sources))
