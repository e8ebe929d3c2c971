"""The yardsticks: what anybody gets from the textbook's parts on the same texts, ranked in memory.

BM25 alone, the embedder alone, and the two fused by rank; on the product's passages, and on fixed windows.
None of it is in the product's index.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from muniment.documents.models import Document, Version
from muniment.documents.queries import text_of
from workers import generations
from workers.engines import connect
from workers.engines.sparse import tokens
from workers.evaluate.dataset import Query
from workers.evaluate.run import PASSAGES, Asked, Corpus, Found
from workers.ingest.pipeline import searched_text

# Robertson's defaults.
K1, B = 1.2, 0.75
# Reciprocal rank fusion with the constant of its authors (Cormack, Clarke and Büttcher 2009).
RRF_K = 60
# Ranks that are fused from each side.
DEPTH = 1000
# Tokens of a window as the embedder sees it, the two marks at its ends included.
WINDOW = 256
MARKS = 2

Scores = NDArray[numpy.float32]


@dataclass(frozen=True)
class Unit:
    """What is ranked: a passage or a window. `indexed` is what is searched, `text` what would be shown."""

    document: str
    page: int
    text: str
    indexed: str


def ask_baselines(
    corpus: Corpus, queries: Sequence[Query], language: str, say: Callable[[str], None]
) -> Iterator[tuple[str, list[Asked]]]:
    """Each yardstick by its name, with what it finds. `language` is the stemmer of BM25."""
    for cut, units in (("passages", _passages(corpus)), ("windows", _windows(corpus))):
        say(f"embedding {len(units)} {cut} for the yardsticks")
        for name, asked in _ranked(units, queries, language).items():
            yield f"{name}, {cut}", asked


def ask_plain(corpus: Corpus, queries: Sequence[Query], language: str) -> list[Asked]:
    """What plain fusion by rank finds among the windows: what an answer in plain mode is made of."""
    return _ranked(_windows(corpus), queries, language)["RRF"]


def _ranked(units: Sequence[Unit], queries: Sequence[Query], language: str) -> dict[str, list[Asked]]:
    documents = numpy.array([unit.document for unit in units])
    words, meaning = Bm25([unit.indexed for unit in units], language), _dense(units, queries)
    found: dict[str, list[Asked]] = {"BM25": [], "embedder": [], "RRF": []}
    for query in queries:
        in_scope = True if query.scope is None else documents == query.scope
        sides = [
            numpy.where(in_scope, scores, -numpy.inf)
            for scores in (words.scores(query.question), meaning(query))
        ]
        for name, scores in zip(found, (*sides, fused(sides)), strict=True):
            found[name].append(_asked(units, scores, query))
    return found


def _asked(units: Sequence[Unit], scores: Scores, query: Query) -> Asked:
    found = [
        Found(units[at].document, units[at].page, float(scores[at]), units[at].text)
        for at in _best(scores, PASSAGES)
        if numpy.isfinite(scores[at])
    ]
    return Asked(query, found, 0.0)


def _best(scores: Scores, most: int) -> list[int]:
    return [int(at) for at in numpy.argsort(-scores, kind="stable")[:most]]


class Bm25:
    """Okapi BM25 (Robertson and Zaragoza 2009) over words as the product folds and stems them.

    A text without any of the words has the score -inf: it is not found.
    """

    def __init__(self, texts: Iterable[str], language: str) -> None:
        self._language = language
        lengths, postings = [], dict[str, tuple[list[int], list[int]]]()
        for at, text in enumerate(texts):
            counts = Counter(tokens(text, language))
            lengths.append(counts.total())
            for word, count in counts.items():
                where, often = postings.setdefault(word, ([], []))
                where.append(at)
                often.append(count)
        self._size = len(lengths)
        length = numpy.array(lengths, dtype=numpy.float32)
        self._norm = K1 * (1 - B + B * length / max(float(length.mean()), 1.0))
        self._postings = {
            word: (numpy.array(where), numpy.array(often, dtype=numpy.float32))
            for word, (where, often) in postings.items()
        }

    def scores(self, question: str) -> Scores:
        found = numpy.full(self._size, -numpy.inf, dtype=numpy.float32)
        for word in set(tokens(question, self._language)) & self._postings.keys():
            where, often = self._postings[word]
            rarity = math.log(1 + (self._size - len(where) + 0.5) / (len(where) + 0.5))
            weight = rarity * often * (K1 + 1) / (often + self._norm[where])
            found[where] = numpy.where(numpy.isfinite(found[where]), found[where], 0) + weight
        return found


def fused(sides: Sequence[Scores]) -> Scores:
    """Plain reciprocal rank fusion of the best of each side."""
    total = numpy.full(len(sides[0]), -numpy.inf, dtype=numpy.float32)
    for scores in sides:
        for rank, at in enumerate(_best(scores, DEPTH), 1):
            if numpy.isfinite(scores[at]):
                total[at] = max(total[at], 0) + 1 / (RRF_K + rank)
    return total


def _dense(units: Sequence[Unit], queries: Sequence[Query]) -> Callable[[Query], Scores]:
    """Cosine with each unit; the questions are embedded as the product embeds them."""
    generation = generations.serving()
    matrix = generations.embedder_of(generation).encode([unit.indexed for unit in units])
    embed = generations.embed_with(connect.engine(), generation)
    vectors = {query.id: numpy.array(embed([query.question])[0], numpy.float32) for query in queries}
    return lambda query: matrix @ vectors[query.id]


def _passages(corpus: Corpus) -> list[Unit]:
    """The product's passages under title and headings, as the product searches them."""
    units = []
    for id, version in corpus.versions.items():
        document = version.document
        for passage in version.own_passages.order_by("ordinal"):
            units.append(Unit(id, passage.page, passage.text, searched_text(document, passage)))
    return units


def _windows(corpus: Corpus) -> list[Unit]:
    """Each document's text, its title first, cut after so many tokens wherever that is.

    A window belongs to the page on which its middle lies.
    """
    units, embedder = [], generations.embedder_of(generations.serving())
    for id, version in corpus.versions.items():
        title, text = _title(version.document), _stored_text(version)
        pages = list(version.pages.order_by("start").values_list("start", "number"))
        starts = [start for start, _number in pages]
        whole = title + text
        for start, end in windows(embedder.token_ranges(whole)):
            middle = max((start + end) // 2 - len(title), 0)
            page = pages[max(bisect_right(starts, middle) - 1, 0)][1] if pages else 1
            units.append(Unit(id, page, whole[start:end], whole[start:end]))
    return units


def windows(tokens: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges of as many tokens as a window holds, without overlap."""
    size = WINDOW - MARKS
    for start in range(0, len(tokens), size):
        part = tokens[start : start + size]
        yield part[0][0], part[-1][1]


def _title(document: Document) -> str:
    return f"{document.title}\n" if document.title else ""


def _stored_text(version: Version) -> str:
    end = version.own_passages.order_by("-ordinal").values_list("end", flat=True).first() or 0
    return text_of(version, 0, end)
