"""Passages that say again what a better one says: they take no place of their own beside it.

The same report in two versions, a page that stands in every contract. Told by words in a row and not by
meaning: two years of one report mean nearly the same, and say different things.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from workers.engines.sparse import UNSPACED

# Words in a row that are looked for in the other text, and the part of them that must stand there.
RUN, SAME = 3, 0.9
# A text of fewer words says too little to be told by: what it means is in its heading and its document.
FEWEST_WORDS = 20

_WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+(?:[-_./,:][^\W{UNSPACED}]+)*")
_FIGURE = re.compile(r"\d")

Run = tuple[str, ...]


def firsts(texts: Sequence[str]) -> list[int]:
    """For each text, best first, the place of the better one that it repeats; its own where it repeats none.

    A text repeats another where SAME of its runs of words stand there and all its figures: with another
    year, price or part number it is another statement, however alike the rest is.
    """
    found: list[int] = []
    holders: dict[Run, list[int]] = {}
    figures: list[set[str]] = []
    for at, text in enumerate(texts):
        words = _WORD.findall(text.casefold())
        runs = set(zip(*(words[start:] for start in range(RUN)), strict=False))
        figures.append({word for word in words if not word.isalpha() and _FIGURE.search(word)})
        first = at
        if len(words) >= FEWEST_WORDS:
            shared = Counter(holder for run in runs for holder in holders.get(run, ()))
            repeated = (
                holder
                for holder in sorted(shared)
                if shared[holder] >= SAME * len(runs) and figures[at] <= figures[holder]
            )
            first = next(repeated, at)
        found.append(first)
        if first == at:
            for run in runs:
                holders.setdefault(run, []).append(at)
    return found
