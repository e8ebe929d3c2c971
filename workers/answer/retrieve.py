"""Finding the passages that fit a question: meaning and words in one query, joined with what is published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from django.conf import settings

from muniment.documents.layout import HEADING_SEPARATOR
from muniment.documents.models import Passage
from muniment.documents.queries import places_of, published_as, published_passages
from muniment.documents.sentences import sentences
from muniment.scope import Scope
from workers.answer import fuse, repeats
from workers.answer.parts import parts_of
from workers.answer.words import Words, words_of
from workers.engines import Embed, Engine, EngineFacts, Hit, IndexFilter, PassageIndex, Rescore
from workers.engines.index import filter_for

# How many are asked for by each side; more where the index knows many that are no longer published.
CANDIDATES, MOST_CANDIDATES = 256, 1000
# The cross-encoder, if there is one, sorts so many of the best.
RERANKED = 16
# Sentences weighed for a question; more would cost more than they show.
MOST_SENTENCES = 72
# Part of a sentence's worth that comes from shared words; the rest is cosine similarity.
WORD_SHARE = 0.35


@dataclass(frozen=True)
class Asked:
    """A question, or a part of one, with its meaning."""

    text: str
    dense: Sequence[float]


@dataclass(frozen=True)
class Ranked:
    """A passage with its score, and those after it that say the same and have no place of their own."""

    passage: Passage
    score: float
    alike: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A passage found, with the sentence in it that fits best (offsets in its text).

    `similarity` is that sentence's cosine with the question, `overlap` the share of the question's words that
    the passage has. `alike` are passages that say the same.
    """

    passage: Passage
    score: float
    best_start: int
    best_end: int
    similarity: float
    overlap: float
    alike: tuple[Passage, ...] = ()


def retrieve(
    scope: Scope,
    embed: Embed,
    index: PassageIndex,
    question: str,
    limit: int,
    libraries: Iterable[UUID] | None = None,
    documents: Iterable[UUID] | None = None,
    rescore: Rescore | None = None,
) -> list[Candidate]:
    """The best passages, best first, at most `limit`, weighed for an answer.

    Raises `EngineUnavailable`, `IndexUnavailable`.
    """
    asked = _asked(embed, question)
    found = _ranked(scope, index, filter_for(scope, libraries, documents), asked, limit, rescore)
    return _with_best_sentences(embed, asked, found)


def find(
    scope: Scope,
    embed: Embed,
    index: PassageIndex,
    question: str,
    limit: int,
    libraries: Iterable[UUID] | None = None,
    documents: Iterable[UUID] | None = None,
    rescore: Rescore | None = None,
    without: Set[str] = fuse.NOTHING,
) -> list[Ranked]:
    """The same passages in the same order with their scores; what fits best in each is not weighed.

    `without` are steps of the ranking that an evaluation leaves out.
    """
    asked = _asked(embed, question, without)
    return _ranked(scope, index, filter_for(scope, libraries, documents), asked, limit, rescore, without)


def _asked(embed: Embed, question: str, without: Set[str] = fuse.NOTHING) -> list[Asked]:
    """The question, and behind it what it asks for where that is several things."""
    parts = [question] if "parts" in without else parts_of(question)
    texts = [question, *(parts if len(parts) > 1 else [])]
    return [Asked(text, dense) for text, dense in zip(texts, embed(texts), strict=True)]


def _ranked(
    scope: Scope,
    index: PassageIndex,
    where: IndexFilter,
    asked: Sequence[Asked],
    limit: int,
    rescore: Rescore | None,
    without: Set[str] = fuse.NOTHING,
) -> list[Ranked]:
    """The best passages that are published, best first, with their scores, and at most `limit`."""
    vectors = [(one.dense, words_of(scope, one.text, where.libraries)) for one in asked]
    most = CANDIDATES
    while True:
        found_by = index.search_each(where, vectors, most)
        orders = [
            _order(scope, one.text, hits, most, without) for one, hits in zip(asked, found_by, strict=True)
        ]
        found = _taken(scope, fuse.merged(orders), limit, without)
        if len(found) >= limit or len(found_by[0]) < most or most >= MOST_CANDIDATES:
            break
        most = MOST_CANDIDATES
    if rescore and "rerank" not in without:
        found = reranked(rescore, asked[0].text, found)
    return found[:limit]


def _taken(scope: Scope, order: Sequence[tuple[UUID, float]], limit: int, without: Set[str]) -> list[Ranked]:
    """The published ones in this order, `limit` or more; as many are read as it takes."""
    read: list[Ranked] = []
    taken: list[Ranked] = []
    at_once = max(2 * limit, RERANKED)
    for start in range(0, len(order), at_once):
        some = order[start : start + at_once]
        passages = published_passages(scope, [id for id, _score in some])
        read += [Ranked(passages[id], score) for id, score in some if id in passages]
        taken = read if "repeats" in without else without_repeats(read)
        if len(taken) >= limit:
            break
    return taken


def without_repeats(ranked: Sequence[Ranked]) -> list[Ranked]:
    """Each text once, where the best of those that say it stands."""
    alike: dict[int, list[Passage]] = {}
    for at, first in enumerate(repeats.firsts([one.passage.text for one in ranked])):
        alike.setdefault(first, []).append(ranked[at].passage)
    return [replace(ranked[first], alike=tuple(others)) for first, (_self, *others) in alike.items()]


def reranking(engine: Engine, facts: EngineFacts) -> Rescore | None:
    """The cross-encoder, where there is one and this machine takes no longer for it than is allowed."""
    in_time = facts.rerank_ms * RERANKED <= settings.RERANK_MS
    return engine.rerank if facts.reranker and in_time else None


def reranked(rescore: Rescore, question: str, found: Sequence[Ranked]) -> list[Ranked]:
    """The first ones in the order of the cross-encoder. They change places, the scores of the places stay."""
    first, rest = found[:RERANKED], found[RERANKED:]
    scores = rescore(question, [one.passage.text for one in first])
    order = sorted(range(len(first)), key=lambda at: (-scores[at], at))
    moved = [replace(first[at], score=place.score) for at, place in zip(order, first, strict=True)]
    return [*moved, *rest]


def _order(
    scope: Scope, question: str, hits: Sequence[Hit], asked: int, without: Set[str]
) -> list[tuple[UUID, float]]:
    """What is not published is left out."""
    published = published_as(scope, {hit.document for hit in hits})
    names = {document: one.names for document, one in published.items()}
    share, places = fuse.trust(hits, without), partial(places_of, scope, published.values())
    scores = fuse.scored(question, hits, share, asked, names, places, without)
    shown = [hit for hit in hits if hit.document in names]
    return sorted(((hit.id, scores[hit.id]) for hit in shown), key=lambda one: (-one[1], one[0]))


def _with_best_sentences(embed: Embed, asked: Sequence[Asked], found: Sequence[Ranked]) -> list[Candidate]:
    """Embed the sentences of the passages found, best passages first, and pick one in each.

    What fits one part of a question fits the question.
    """
    spans = [(at, *span) for at, one in enumerate(found) for span in worth_showing(one.passage)]
    spans = spans[:MOST_SENTENCES]
    vectors = embed([found[at].passage.text[start:end] for at, start, end in spans]) if spans else []
    words = [Words(one.text) for one in asked]
    best: dict[int, tuple[float, int, int, float]] = {}
    for (at, start, end), vector in zip(spans, vectors, strict=True):
        cosine = max(sum(a * b for a, b in zip(one.dense, vector, strict=True)) for one in asked)
        passage = found[at].passage
        shared = max(one.share_in(passage, passage.text[start:end]) for one in words)
        worth = (1 - WORD_SHARE) * cosine + WORD_SHARE * shared
        if at not in best or worth > best[at][0]:
            best[at] = (worth, start, end, cosine)
    candidates = []
    for at, ranked in enumerate(found):
        passage = ranked.passage
        _, start, end, cosine = best.get(at, (0.0, *next(iter(worth_showing(passage)), (0, 0)), 0.0))
        overlap = max(one.share_in(passage, passage.text) for one in words)
        candidates.append(Candidate(passage, ranked.score, start, end, cosine, overlap, ranked.alike))
    return candidates


def worth_showing(passage: Passage) -> list[tuple[int, int]]:
    """Ranges of the passage's sentences but its headings, which repeat the question and answer nothing."""
    spans, headings = sentences(passage.text), passage.heading.split(HEADING_SEPARATOR)
    return [span for span in spans if _one_line(passage.text[slice(*span)]) not in headings] or spans


def _one_line(text: str) -> str:
    return " ".join(text.split())
