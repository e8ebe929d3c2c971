"""From two scores a passage, by meaning and by words, to one rank: each step a small function of values.

The scores themselves are fused, not only their ranks: how far the first stands out is what a rank forgets.
An embedder that does not know a language gives its passages cosines like any other, so how much the meaning
counts is told from the question itself: where the two sides have nothing to do with each other, words decide.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from uuid import UUID

from workers.engines import Hit
from workers.engines.sparse import tokens

# The meaning's share where it disagrees with the words altogether, and how much more it gets at most.
LEAST_TRUST, MORE_TRUST = 0.1, 0.4
# The agreement, in standard deviations, from which meaning is trusted fully.
FULL_AGREEMENT = 3.0
# Passages that share fewer words with the question say nothing of the agreement; the middle is assumed.
LEAST_SHARED, USUAL_AGREEMENT = 20, 2.0
# First by words, and those that only share common words with the question.
FIRST, COMMON = 5, 20
# What the name of its document adds to a passage at most.
NAME_SHARE = 0.2

Scores = dict[UUID, float]


def agreement(hits: Sequence[Hit]) -> float:
    """How far the passages that fit best by words stand out by meaning, too, in standard deviations.

    They are compared with passages that share words with the question, but not its rare ones.
    """
    shared = sorted((hit for hit in hits if hit.words > 0), key=lambda hit: -hit.words)
    if len(shared) < LEAST_SHARED:
        return USUAL_AGREEMENT
    cosines = [hit.cosine for hit in shared]
    rest = cosines[COMMON if len(shared) > 2 * COMMON else FIRST :]
    return (fmean(cosines[:FIRST]) - fmean(rest)) / (pstdev(rest) or 1.0)


def trust(hits: Sequence[Hit]) -> float:
    """The share of the meaning in a passage's score, from LEAST_TRUST up; the rest is the words'."""
    return LEAST_TRUST + MORE_TRUST * min(1.0, max(0.0, agreement(hits) / FULL_AGREEMENT))


def fused(hits: Sequence[Hit], share: float, nearest: int) -> Scores:
    """One score in [0, 1] a hit, `share` of it by meaning. `nearest` is how many each side was asked for."""
    cosines = sorted((hit.cosine for hit in hits), reverse=True)[:nearest]
    low, high = (cosines[-1], cosines[0]) if cosines else (0.0, 1.0)
    most = max((hit.words for hit in hits), default=0.0) or 1.0
    return {
        hit.id: share * max(0.0, (hit.cosine - low) / ((high - low) or 1.0)) + (1 - share) * hit.words / most
        for hit in hits
    }


def scored(
    question: str, hits: Sequence[Hit], share: float, nearest: int, names: Mapping[UUID, str]
) -> Scores:
    """The chain after trust: fusion, then the names of documents."""
    return with_names(fused(hits, share, nearest), hits, name_evidence(question, names))


def name_evidence(question: str, names: Mapping[UUID, str]) -> Scores:
    """For each document how much of the question its name has, the best one 1: "FY2018" names a report.

    A word counts by how few of the names have it (IDF), so that what all share says nothing.
    """
    asked = set(tokens(question))
    shared = {document: asked & set(tokens(name)) for document, name in names.items()}
    having = Counter(token for found in shared.values() for token in found)
    worth = {token: math.log(1 + (len(names) - n + 0.5) / (n + 0.5)) for token, n in having.items()}
    scores = {document: sum(worth[token] for token in found) for document, found in shared.items()}
    most = max(scores.values(), default=0.0) or 1.0
    return {document: score / most for document, score in scores.items()}


def with_names(scores: Scores, hits: Sequence[Hit], evidence: Mapping[UUID, float]) -> Scores:
    """What the name of a passage's document says is added to its score."""
    return {hit.id: scores[hit.id] + NAME_SHARE * evidence.get(hit.document, 0.0) for hit in hits}
