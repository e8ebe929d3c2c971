"""What goes into the prompt, by token count: best sentences and their neighbours before whole passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muniment.documents.sentences import CELLS, sentences
from workers.answer.retrieve import Candidate

CountTokens = Callable[[Sequence[str]], list[int]]
# What numbering, title and line breaks of one passage cost besides its text.
FRAME_TOKENS = 8
# A candidate is strong when its best sentence has this part of the similarity of the best one.
STRONG_SHARE = 0.7


@dataclass(frozen=True)
class Excerpt:
    """What of candidate number `n` (from 1) the model reads; `whole` when it is all of the passage."""

    n: int
    candidate: Candidate
    text: str
    whole: bool

    @property
    def start(self) -> int:
        """Where in the passage's text it begins."""
        return max(self.candidate.passage.text.find(self.text), 0)


@dataclass(frozen=True)
class Packed:
    excerpts: list[Excerpt]
    left_out: int
    tokens: int


def pack(candidates: Sequence[Candidate], budget: int, count: CountTokens) -> Packed:
    """Fill `budget` tokens.

    First every strong candidate gives its best sentence with one neighbour on each side, then they are
    widened to whole passages, best first, and what is left goes to the best sentences of the others. The
    first candidate is always there, cut if need be to its best sentence.
    """
    texts = [
        *map(title, candidates),
        *map(_core, candidates),
        *(candidate.passage.text for candidate in candidates),
    ]
    sizes, n = count(texts) if texts else [], len(candidates)
    core_costs = [sizes[at] + FRAME_TOKENS + sizes[n + at] for at in range(n)]
    whole_costs = [sizes[at] + FRAME_TOKENS + sizes[2 * n + at] for at in range(n)]
    strong = _strong(candidates)
    chosen: dict[int, int] = {}
    offers = [
        *((at, core_costs[at]) for at in strong),
        *((at, whole_costs[at]) for at in strong),
        *((at, core_costs[at]) for at in range(n) if at not in strong),
    ]
    for at, cost in offers:
        spent = sum(chosen.values()) - chosen.get(at, 0)
        if not chosen or (spent + cost <= budget and cost > chosen.get(at, 0)):
            chosen[at] = cost
    excerpts = [
        Excerpt(at + 1, candidates[at], texts[2 * n + at] if whole else texts[n + at], whole)
        for at, whole in ((at, chosen[at] == whole_costs[at]) for at in sorted(chosen))
    ]
    return Packed(excerpts, n - len(chosen), sum(chosen.values()))


def _strong(candidates: Sequence[Candidate]) -> list[int]:
    """Positions of the candidates whose best sentence comes near the best of all, the first always."""
    best = max((candidate.similarity for candidate in candidates), default=0.0)
    return [
        at
        for at, candidate in enumerate(candidates)
        if at == 0 or candidate.similarity >= STRONG_SHARE * best
    ]


def title(candidate: Candidate) -> str:
    document = candidate.passage.version.document
    return f"{document.title or document.name}, {candidate.passage.heading}"


def _core(candidate: Candidate) -> str:
    """The best sentence with its neighbours; a row with all rows above it, for the first ones name the
    columns."""
    text = candidate.passage.text
    spans = list(sentences(text))
    at = next((i for i, (start, _) in enumerate(spans) if start == candidate.best_start), None)
    if at is None:
        return text[candidate.best_start : candidate.best_end] or text[:400]
    first, last = max(0, at - 1), min(len(spans) - 1, at + 1)
    while _is_row(text, spans[at]) and first > 0 and _is_row(text, spans[first]):
        first -= 1
    return text[spans[first][0] : spans[last][1]]


def _is_row(text: str, span: tuple[int, int]) -> bool:
    return CELLS in text[slice(*span)]
