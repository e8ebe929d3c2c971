"""Fits what tells whether passages hold an answer to data sets whose questions say which have one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy
from django.conf import settings
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from workers import generations
from workers.answer.answerable import Evidence, Weights, evidence_of
from workers.answer.retrieve import reranking, retrieve
from workers.engines import connect
from workers.evaluate.dataset import Query
from workers.evaluate.run import Corpus

# Of the questions with an answer so many may be refused, as the mean over the data sets.
MOST_REFUSED = 0.1
FOLDS = 5
# Which passage of a question counts depends on the weights, and these on it: so often they follow each other.
ROUNDS = 8
FIRST = Weights(bias=0.0, similarity=5.0, overlap=1.5, missing=-3.0, least=0.0)
LEAST_QUESTIONS = 20

Floats = NDArray[numpy.float64]


class CalibrationError(Exception):
    """The questions do not suffice; the sentence says what is missing."""


@dataclass(frozen=True)
class Judged:
    """A question of a data set, whether it has an answer there, and what was found."""

    dataset: str
    answerable: bool
    evidence: list[Evidence]


@dataclass(frozen=True)
class Rates:
    """Of one data set, by weights that were fitted to other questions; None where it has none of the kind."""

    dataset: str
    answerable: int
    unanswerable: int
    auroc: float | None
    refused_rightly: float | None
    refused_wrongly: float | None


def judge_all(
    dataset: str, corpus: Corpus, queries: Sequence[Query], beat: Callable[[], None] = lambda: None
) -> list[Judged]:
    """Look for every question as for an answer. Raises `EngineUnavailable`, `IndexUnavailable`."""
    engine, generation = connect.engine(), generations.serving()
    embed, rescore = generations.embed_with(engine, generation), reranking(engine, engine.facts())
    index = generations.index_of(generation)
    judged = []
    for query in queries:
        beat()
        found = retrieve(
            corpus.scope,
            embed,
            index,
            query.question,
            settings.PASSAGES_SHOWN,
            [corpus.library.id],
            corpus.documents(query),
            rescore,
        )
        judged.append(Judged(dataset, query.answerable, evidence_of(query.question, found)))
    return judged


def calibrate(judged: Sequence[Judged], by_words: bool = False) -> tuple[Weights, list[Rates]]:
    """Weights fitted to all, and how they do on questions that they were not fitted to.

    Each data set counts the same, and in it those with and those without an answer. `by_words` leaves the
    meaning out. Raises `CalibrationError`.
    """
    kinds = Counter(one.answerable for one in judged)
    if min(kinds[True], kinds[False]) < LEAST_QUESTIONS:
        raise CalibrationError(
            f"It takes {LEAST_QUESTIONS} questions with an answer and as many without: here are "
            f"{kinds[True]} and {kinds[False]}."
        )
    unseen = _unseen(judged, by_words)
    least = _least(judged, unseen)
    weights = replace(_fitted(judged, _shares(judged), by_words), least=round(least, 3))
    names = dict.fromkeys(one.dataset for one in judged)
    return weights, [_rates(name, judged, unseen, least) for name in names]


def _unseen(judged: Sequence[Judged], by_words: bool) -> Floats:
    """For each question the probability by weights fitted to the other folds."""
    found = numpy.zeros(len(judged))
    strata = [f"{one.dataset} {one.answerable}" for one in judged]
    shares = _shares(judged)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for seen, left in folds.split(strata, strata):
        weights = _fitted([judged[at] for at in seen], shares[seen], by_words)
        found[left] = [weights.likely(judged[at].evidence) for at in left]
    return found


def _shares(judged: Sequence[Judged]) -> Floats:
    counts = Counter((one.dataset, one.answerable) for one in judged)
    return numpy.array([len(judged) / len(counts) / counts[one.dataset, one.answerable] for one in judged])


def _fitted(judged: Sequence[Judged], shares: Floats, by_words: bool) -> Weights:
    right = [one.answerable for one in judged]
    weights = replace(FIRST, similarity=0.0) if by_words else FIRST
    for _round in range(ROUNDS):
        best = [max(one.evidence, key=weights.probability, default=Evidence(0, 0, 0)) for one in judged]
        rows = [[0.0 if by_words else one.similarity, one.overlap, one.missing] for one in best]
        fit = LogisticRegression(C=10).fit(rows, right, sample_weight=shares)
        similarity, overlap, missing = (round(float(weight), 2) for weight in fit.coef_[0])
        weights = Weights(round(float(fit.intercept_[0]), 2), similarity, overlap, missing, least=0.0)
    return weights


def _least(judged: Sequence[Judged], unseen: Floats) -> float:
    """The highest threshold at which no more than `MOST_REFUSED` are refused wrongly."""
    answerable = [
        unseen[[at for at, one in enumerate(judged) if one.answerable and one.dataset == name]]
        for name in {one.dataset for one in judged if one.answerable}
    ]
    thresholds = numpy.sort(numpy.concatenate(answerable))
    allowed = [
        t for t in thresholds if numpy.mean([(some < t).mean() for some in answerable]) <= MOST_REFUSED
    ]
    return float(allowed[-1])


def _rates(dataset: str, judged: Sequence[Judged], unseen: Floats, least: float) -> Rates:
    of = {
        kind: unseen[[at for at, o in enumerate(judged) if o.dataset == dataset and o.answerable == kind]]
        for kind in (True, False)
    }
    both = bool(len(of[True]) and len(of[False]))
    right = [True] * len(of[True]) + [False] * len(of[False])
    return Rates(
        dataset,
        len(of[True]),
        len(of[False]),
        float(roc_auc_score(right, numpy.concatenate([of[True], of[False]]))) if both else None,
        float((of[False] < least).mean()) if len(of[False]) else None,
        float((of[True] < least).mean()) if len(of[True]) else None,
    )
