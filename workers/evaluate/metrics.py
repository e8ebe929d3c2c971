"""What is measured for one question: small functions of a ranking and of what is judged to be right.

A ranking is a list, best first, in which nothing comes twice.
"""

from __future__ import annotations

import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

_WORD = re.compile(r"\w+")
T = TypeVar("T", bound=Hashable)
# Words that must stand side by side in both texts to be one and the same place.
SHINGLE = 3
# Part of the shorter text that the other must have.
ENOUGH = 0.5


def ndcg(ranking: Sequence[T], grades: Mapping[T, int], k: int = 10) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002), with the grade as gain and
    log2(rank + 1) as discount, as trec_eval's ndcg_cut has it. 1 is the best ranking there can be."""
    gains = [max(grades.get(item, 0), 0) for item in ranking[:k]]
    best = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k]
    return _discounted(gains) / _discounted(best) if best else 0.0


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def recall(ranking: Sequence[T], relevant: Collection[T], k: int) -> float:
    """Share of what is relevant that stands among the first k."""
    return len(set(ranking[:k]) & set(relevant)) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranking: Sequence[T], relevant: Collection[T], k: int = 10) -> float:
    """One over the rank of the first relevant item, 0 where none is among the first k (Voorhees 1999)."""
    return next((1 / rank for rank, item in enumerate(ranking[:k], 1) if item in relevant), 0.0)


def hit(ranking: Sequence[T], relevant: Collection[T], k: int) -> float:
    """1 where anything relevant stands among the first k, else 0 (success at k)."""
    return float(any(item in relevant for item in ranking[:k]))


def word_f1(said: str, right: str) -> float:
    """Harmonic mean of the shares of each text's words that the other has, as SQuAD counts it (Rajpurkar et
    al. 2016), but for articles, which other languages have not."""
    one, other = Counter(_words(said)), Counter(_words(right))
    shared = (one & other).total()
    return 2 * shared / (one.total() + other.total()) if shared else 0.0


def interval(values: Sequence[float], rounds: int = 2000) -> tuple[float, float]:
    """Where 95 of 100 means lie of as many values drawn from these (percentile bootstrap, Efron 1979)."""
    draw = random.Random(0)  # noqa: S311 - the same interval for the same values
    means = [fmean(draw.choices(values, k=len(values))) for _round in range(rounds)]
    return percentile(means, 2.5), percentile(means, 97.5)


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]


def meets(passage: str, evidence: str) -> bool:
    """Whether a passage holds a piece of evidence, or lies in a longer one.

    Half the runs of three words of the shorter text must stand in the other: readers of the same page differ
    in spaces, breaks and punctuation, hardly in words.
    """
    n = min(SHINGLE, len(_words(passage)), len(_words(evidence)))
    if not n:
        return False
    one, other = _shingles(passage, n), _shingles(evidence, n)
    return len(one & other) >= ENOUGH * min(len(one), len(other))


def _words(text: str) -> list[str]:
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _shingles(text: str, n: int) -> set[tuple[str, ...]]:
    words = _words(text)
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}
