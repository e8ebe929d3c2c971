"""Two runs question by question: what got better, what got worse, and whether that is more than chance."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

# Up to so many differences every sign is tried, beyond it so many random ones.
EXACT = 12
TRIALS = 5000
# The usual border below which a difference is not taken for noise.
BORDER = 0.05
# Differences below this are rounding.
LEAST = 1e-9


@dataclass(frozen=True)
class Comparison:
    """One measure over the questions that both runs have. `p` is how often chance does as much or more."""

    measure: str
    before: float
    after: float
    better: int
    worse: int
    same: int
    p: float

    @property
    def is_noise(self) -> bool:
        return self.p >= BORDER


Measures = Mapping[str, float]


def compare(before: Mapping[str, Measures], after: Mapping[str, Measures]) -> list[Comparison]:
    """For each measure, in the order in which `after` has them. Both map a question's id to its values."""
    names = dict.fromkeys(name for values in after.values() for name in values)
    found = []
    for name in names:
        both = [q for q in after if name in after[q] and name in before.get(q, {})]
        if both:
            found.append(_compare(name, [before[q][name] for q in both], [after[q][name] for q in both]))
    return found


def _compare(name: str, before: Sequence[float], after: Sequence[float]) -> Comparison:
    changes = [new - old for old, new in zip(before, after, strict=True)]
    better, worse = sum(c > LEAST for c in changes), sum(c < -LEAST for c in changes)
    same = len(changes) - better - worse
    return Comparison(name, fmean(before), fmean(after), better, worse, same, p_value(changes))


def p_value(changes: Sequence[float]) -> float:
    """Fisher's paired randomisation test, two-sided: were each change as likely to be its opposite, how often
    would the sum be as far from zero? The same changes always give the same value."""
    changes = [change for change in changes if abs(change) > LEAST]
    if not changes:
        return 1.0
    seen = abs(sum(changes)) - LEAST
    if len(changes) <= EXACT:
        signs = itertools.product((1, -1), repeat=len(changes))
        sums = [sum(s * c for s, c in zip(sign, changes, strict=True)) for sign in signs]
        return sum(abs(value) >= seen for value in sums) / len(sums)
    chance = random.Random(0)  # noqa: S311 - a test's coins, no secret
    more = sum(
        abs(sum(c if chance.random() < 0.5 else -c for c in changes)) >= seen for _try in range(TRIALS)
    )
    return (more + 1) / (TRIALS + 1)
