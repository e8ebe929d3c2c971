"""From two scores a passage, by meaning and by words, to one rank: each step a small function of values.

The scores themselves are fused, not only their ranks: how far the first stands out is what a rank forgets.
An embedder that does not know a language gives its passages cosines like any other, so how much the meaning
counts is told from the question itself: where the two sides have nothing to do with each other, words decide.

How the constants were chosen and what each step is worth: `deploy/RETRIEVAL.md`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from itertools import chain
from statistics import fmean, pstdev
from uuid import UUID

from muniment.documents.queries import Place
from workers.engines import Hit
from workers.engines.sparse import tokens

# What an evaluation can leave out of the chain, to see what it is worth.
STEPS = ("meaning", "words", "trust", "neighbours", "names", "parts", "repeats", "rerank")
NOTHING: Set[str] = frozenset()
# The meaning's share where it disagrees with the words altogether, and how much more it gets at most.
LEAST_TRUST, MORE_TRUST = 0.2, 0.2
# The agreement, in standard deviations, from which meaning is trusted fully.
FULL_AGREEMENT = 3.0
# Passages that share fewer words with the question say nothing of the agreement; the middle is assumed.
LEAST_SHARED, USUAL_AGREEMENT = 20, 2.0
# First by words, and those that only share common words with the question.
FIRST, COMMON = 5, 20
# What the passages around it add to a passage: this share of their mean, so many on each side. Those that are
# not among the first so many say nothing.
NEIGHBOUR_SHARE, NEIGHBOURS, LOOKED_AROUND = 0.2, 2, 100
# What the name of its document adds to a passage at most.
NAME_SHARE = 0.2

Scores = dict[UUID, float]
Order = list[tuple[UUID, float]]
Places = Callable[[Iterable[UUID]], Mapping[UUID, Place]]


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


def trust(hits: Sequence[Hit], without: Set[str] = NOTHING) -> float:
    """The share of the meaning in a passage's score, from LEAST_TRUST up; the rest is the words'."""
    if "meaning" in without:
        return 0.0
    if "words" in without:
        return 1.0
    agreed = USUAL_AGREEMENT if "trust" in without else agreement(hits)
    return LEAST_TRUST + MORE_TRUST * min(1.0, max(0.0, agreed / FULL_AGREEMENT))


def fused(hits: Sequence[Hit], share: float, nearest: int) -> Scores:
    """One score in [0, 1] a hit, `share` of it by meaning. `nearest` is how many each side was asked for.

    A convex combination of scores brought to one scale, as Bruch, Gai and Ingber (2023) found it better than
    fusing ranks.
    """
    cosines = sorted((hit.cosine for hit in hits), reverse=True)[:nearest]
    low, high = (cosines[-1], cosines[0]) if cosines else (0.0, 1.0)
    most = max((hit.words for hit in hits), default=0.0) or 1.0
    return {
        hit.id: share * max(0.0, (hit.cosine - low) / ((high - low) or 1.0)) + (1 - share) * hit.words / most
        for hit in hits
    }


def scored(
    question: str,
    hits: Sequence[Hit],
    share: float,
    nearest: int,
    names: Mapping[UUID, str],
    places: Places,
    without: Set[str] = NOTHING,
) -> Scores:
    """The chain after trust: fusion, then the passages around, then the names of documents.

    `places` is asked where the best passages stand; `without` are some of STEPS.
    """
    scores = fused(hits, share, nearest)
    if "neighbours" not in without:
        scores = with_neighbours(scores, places(first(scores)))
    if "names" not in without:
        scores = with_names(scores, hits, name_evidence(question, names))
    return scores


def first(scores: Scores) -> list[UUID]:
    """The best passages, whose surroundings are looked at."""
    return sorted(scores, key=lambda id: (-scores[id], id))[:LOOKED_AROUND]


def with_neighbours(scores: Scores, places: Mapping[UUID, Place]) -> Scores:
    """What the passages before and after it say is added to a passage's score: an answer stands where its
    subject is spoken of.

    As Callan (1994) weighs a passage together with what it stands in. A passage that is alone in its document
    is its own surrounding, so that long documents are not preferred for their length.
    """
    standing = {(place.version, place.ordinal): scores[id] for id, place in places.items()}

    def around(id: UUID, place: Place) -> float:
        near = range(max(place.ordinal - NEIGHBOURS, 0), min(place.ordinal + NEIGHBOURS + 1, place.of))
        found = [standing.get((place.version, at), 0.0) for at in near if at != place.ordinal]
        return fmean(found) if found else scores[id]

    added = {id: NEIGHBOUR_SHARE * around(id, place) for id, place in places.items()}
    return {id: score + added.get(id, 0.0) for id, score in scores.items()}


def name_evidence(question: str, names: Mapping[UUID, str]) -> Scores:
    """For each document how much of the question its name has, the best one 1: "FY2018" names a report.

    A word counts by how few of the names have it (IDF), so that what all share says nothing.
    """
    asked = set(tokens(question))
    shared = {document: asked & _words(name) for document, name in names.items()}
    having = Counter(token for found in shared.values() for token in found)
    worth = {token: math.log(1 + (len(names) - n + 0.5) / (n + 0.5)) for token, n in having.items()}
    scores = {document: sum(worth[token] for token in found) for document, found in shared.items()}
    most = max(scores.values(), default=0.0) or 1.0
    return {document: score / most for document, score in scores.items()}


@lru_cache(maxsize=10_000)
def _words(name: str) -> frozenset[str]:
    """Kept: a question meets the names of hundreds of documents, the next one mostly the same."""
    return frozenset(tokens(name))


def with_names(scores: Scores, hits: Sequence[Hit], evidence: Mapping[UUID, float]) -> Scores:
    """What the name of a passage's document says is added to its score."""
    return {hit.id: scores[hit.id] + NAME_SHARE * evidence.get(hit.document, 0.0) for hit in hits}


def merged(orders: Sequence[Order]) -> Order:
    """One order of a question's and its parts': a passage has the best score that any of them gave it."""
    best: Scores = {}
    for id, score in chain.from_iterable(orders):
        best[id] = max(score, best.get(id, score))
    return sorted(best.items(), key=lambda one: (-one[1], one[0]))
