"""Finding the passages that fit a question: meaning and words in one query, joined with what is published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from muniment.documents.layout import HEADING_SEPARATOR
from muniment.documents.models import Passage
from muniment.documents.queries import published_names, published_passages
from muniment.documents.sentences import sentences
from muniment.scope import Scope
from workers.answer import fuse
from workers.answer.words import Words, words_of
from workers.engines import Embed, Hit, IndexFilter, PassageIndex
from workers.engines.index import filter_for

# How many are asked for by each side; more where the index knows many that are no longer published.
CANDIDATES, MOST_CANDIDATES = 256, 1000
# Sentences weighed for a question; more would cost more than they show.
MOST_SENTENCES = 72
# Part of a sentence's worth that comes from shared words; the rest is cosine similarity.
WORD_SHARE = 0.35


@dataclass(frozen=True)
class Candidate:
    """A passage found, with the sentence in it that fits best (offsets in its text).

    `similarity` is that sentence's cosine with the question, `overlap` the share of the question's words that
    the passage has.
    """

    passage: Passage
    score: float
    best_start: int
    best_end: int
    similarity: float
    overlap: float


def retrieve(
    scope: Scope,
    embed: Embed,
    index: PassageIndex,
    question: str,
    limit: int,
    libraries: Iterable[UUID] | None = None,
    documents: Iterable[UUID] | None = None,
) -> list[Candidate]:
    """The best passages, best first, at most `limit`, weighed for an answer.

    Raises `EngineUnavailable`, `IndexUnavailable`.
    """
    dense = embed([question])[0]
    found = _ranked(scope, index, filter_for(scope, libraries, documents), question, dense, limit)
    return _with_best_sentences(embed, question, dense, found)


def find(
    scope: Scope,
    embed: Embed,
    index: PassageIndex,
    question: str,
    limit: int,
    libraries: Iterable[UUID] | None = None,
    documents: Iterable[UUID] | None = None,
) -> list[tuple[Passage, float]]:
    """The same passages in the same order with their scores; what fits best in each is not weighed."""
    dense = embed([question])[0]
    return _ranked(scope, index, filter_for(scope, libraries, documents), question, dense, limit)


def _ranked(
    scope: Scope,
    index: PassageIndex,
    where: IndexFilter,
    question: str,
    dense: Sequence[float],
    limit: int,
) -> list[tuple[Passage, float]]:
    """The best passages that are published, best first, with their scores, and at most `limit`."""
    sparse, asked = words_of(scope, question), CANDIDATES
    while True:
        hits = index.search(where, dense, sparse, asked)
        order = _order(scope, question, hits, asked)
        passages = published_passages(scope, [id for id, _score in order[: 2 * limit]])
        found = [(passages[id], score) for id, score in order if id in passages]
        if len(found) >= limit or len(hits) < asked or asked >= MOST_CANDIDATES:
            return found[:limit]
        asked = MOST_CANDIDATES


def _order(scope: Scope, question: str, hits: Sequence[Hit], asked: int) -> list[tuple[UUID, float]]:
    """What is not published is left out."""
    names = published_names(scope, {hit.document for hit in hits})
    scores = fuse.scored(question, hits, fuse.trust(hits), asked, names)
    shown = [hit for hit in hits if hit.document in names]
    return sorted(((hit.id, scores[hit.id]) for hit in shown), key=lambda one: (-one[1], one[0]))


def _with_best_sentences(
    embed: Embed, question: str, dense: Sequence[float], found: list[tuple[Passage, float]]
) -> list[Candidate]:
    """Embed the sentences of the passages found, best passages first, and pick one in each."""
    spans = [(at, *span) for at, (passage, _) in enumerate(found) for span in worth_showing(passage)]
    spans = spans[:MOST_SENTENCES]
    vectors = embed([found[at][0].text[start:end] for at, start, end in spans]) if spans else []
    words = Words(question)
    best: dict[int, tuple[float, int, int, float]] = {}
    for (at, start, end), vector in zip(spans, vectors, strict=True):
        cosine = sum(a * b for a, b in zip(dense, vector, strict=True))
        passage = found[at][0]
        shared = words.share_in(passage, passage.text[start:end])
        worth = (1 - WORD_SHARE) * cosine + WORD_SHARE * shared
        if at not in best or worth > best[at][0]:
            best[at] = (worth, start, end, cosine)
    candidates = []
    for at, (passage, score) in enumerate(found):
        _, start, end, cosine = best.get(at, (0.0, *next(iter(worth_showing(passage)), (0, 0)), 0.0))
        overlap = words.share_in(passage, passage.text)
        candidates.append(Candidate(passage, score, start, end, cosine, overlap))
    return candidates


def worth_showing(passage: Passage) -> list[tuple[int, int]]:
    """Ranges of the passage's sentences but its headings, which repeat the question and answer nothing."""
    spans, headings = sentences(passage.text), passage.heading.split(HEADING_SEPARATOR)
    return [span for span in spans if _one_line(passage.text[slice(*span)]) not in headings] or spans


def _one_line(text: str) -> str:
    return " ".join(text.split())
