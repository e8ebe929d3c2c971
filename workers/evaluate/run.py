"""Asks every question of a data set and measures what is found."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from uuid import UUID

from django.conf import settings

from muniment.documents.models import Version, VersionState
from muniment.scope import Scope
from muniment.tenancy.models import Library
from workers import generations
from workers.answer import fuse
from workers.answer.retrieve import Ranked, find, reranking
from workers.engines import Embed, PassageIndex, Rescore, connect
from workers.evaluate import metrics
from workers.evaluate.dataset import DatasetError, Evidence, File, Query
from workers.evaluate.scratch import newest_versions

# Passages asked for: enough for as many different pages as a run lists.
PASSAGES = 150
PAGES = 50
EVIDENCE_WITHIN = 10
OF_RETRIEVAL = (
    "ndcg@10",
    "recall@5",
    "recall@10",
    "recall@20",
    "mrr@10",
    "page-hit@1",
    "page-hit@3",
    "page-hit@5",
    "evidence@10",
    "all-evidence@10",
)
# Of answers: what each is stands at `answers.measure`.
OF_ANSWERS = ("refused", "answered", "word-f1", "figures", "citations")
MEASURES = (*OF_RETRIEVAL, *OF_ANSWERS)

Page = tuple[str, int]


@dataclass(frozen=True)
class Found:
    """A passage, by the data set's id of its document and the page on which it begins."""

    document: str
    page: int
    score: float
    text: str


@dataclass(frozen=True)
class Asked:
    """A question with what was found, best first. `seconds` is the time to find what an answer gets."""

    query: Query
    found: list[Found]
    seconds: float

    @cached_property
    def pages(self) -> list[tuple[Page, float]]:
        """Each page found, once, with the score of its best passage; at most `PAGES`."""
        best: dict[Page, float] = {}
        for one in self.found:
            best.setdefault((one.document, one.page), one.score)
        return list(best.items())[:PAGES]


@dataclass(frozen=True)
class Corpus:
    """A data set's documents as they are stored: where they are, and which of them could not be read."""

    scope: Scope
    library: Library
    ids: Mapping[UUID, str]
    versions: Mapping[str, Version]
    unread: tuple[str, ...]

    @property
    def passages(self) -> int:
        return sum(version.passage_count for version in self.versions.values())

    def documents(self, query: Query) -> list[UUID] | None:
        """The document that a question is asked of; None for all. Raises `DatasetError`."""
        if query.scope is None:
            return None
        if query.scope not in self.versions:
            raise DatasetError(
                f"The question {query.id!r} is asked of {query.scope!r}, which is not among the documents."
            )
        return [self.versions[query.scope].document_id]


def stored(scope: Scope, library: Library, files: Iterable[File]) -> Corpus:
    """What the library holds of these files. Raises `DatasetError` where nothing could be read."""
    newest = newest_versions(library)
    known = {file.document: newest[file.name] for file in files if file.name in newest}
    versions = {id: version for id, version in known.items() if version.state == VersionState.PUBLISHED}
    if not versions:
        raise DatasetError("No document of the data set could be read.")
    unread = tuple(id for id in known if id not in versions)
    return Corpus(scope, library, {v.document_id: id for id, v in versions.items()}, versions, unread)


def ask_all(
    corpus: Corpus,
    queries: Sequence[Query],
    say: Callable[[str], None] = lambda line: None,
    beat: Callable[[], None] = lambda: None,
    without: Set[str] = fuse.NOTHING,
) -> list[Asked]:
    """Every question through the search of the product, `without` some of its steps; `beat` is called before
    each.

    Raises `DatasetError`, `EngineUnavailable`, `IndexUnavailable`.
    """
    generation = generations.serving()
    engine = connect.engine()
    embed, rescore = generations.embed_with(engine, generation), reranking(engine, engine.facts())
    index = generations.index_of(generation)
    for query in queries:
        corpus.documents(query)
    asked = []
    for number, query in enumerate(queries, 1):
        beat()
        asked.append(_ask(corpus, embed, index, query, rescore, without))
        if number % 100 == 0 or number == len(queries):
            say(f"{number} of {len(queries)} questions asked")
    return asked


def _ask(
    corpus: Corpus,
    embed: Embed,
    index: PassageIndex,
    query: Query,
    rescore: Rescore | None,
    without: Set[str],
) -> Asked:
    def search(limit: int) -> list[Ranked]:
        libraries, documents = [corpus.library.id], corpus.documents(query)
        return find(corpus.scope, embed, index, query.question, limit, libraries, documents, rescore, without)

    begun = time.perf_counter()
    search(settings.PASSAGES_SHOWN)
    seconds = time.perf_counter() - begun
    found = [
        Found(corpus.ids[document], one.passage.page, one.score, one.passage.text)
        for one in search(PASSAGES)
        if (document := one.passage.version.document_id) in corpus.ids
    ]
    return Asked(query, found, seconds)


def measure(asked: Asked) -> dict[str, float]:
    """The measures that a question has judgements for.

    A question asked of one document can find no other, so it says nothing about finding documents.
    """
    query, values = asked.query, {}
    pages = [page for page, _score in asked.pages]
    grades = query.grades
    relevant = {document for document, grade in grades.items() if grade > 0}
    if relevant and query.scope is None:
        documents = list(dict.fromkeys(document for document, _page in pages))
        values["ndcg@10"] = metrics.ndcg(documents, grades, 10)
        values |= {f"recall@{k}": metrics.recall(documents, relevant, k) for k in (5, 10, 20)}
        values["mrr@10"] = metrics.reciprocal_rank(documents, relevant, 10)
    right = {(piece.document, piece.page) for piece in query.evidence if piece.page is not None}
    if right:
        values |= {f"page-hit@{k}": metrics.hit(pages, right, k) for k in (1, 3, 5)}
    return values | _evidence(asked)


def _evidence(asked: Asked) -> dict[str, float]:
    pieces = [piece for piece in asked.query.evidence if piece.text or piece.page is not None]
    if not pieces:
        return {}
    first = asked.found[:EVIDENCE_WITHIN]
    met = [any(_meets(found, piece) for found in first) for piece in pieces]
    values = {"evidence@10": fmean(met)}
    return values | ({"all-evidence@10": float(all(met))} if len(pieces) > 1 else {})


def _meets(found: Found, piece: Evidence) -> bool:
    if found.document != piece.document:
        return False
    return metrics.meets(found.text, piece.text) if piece.text else found.page == piece.page


@dataclass(frozen=True)
class Value:
    """A measure's mean, over so many questions."""

    mean: float
    n: int


def summary(measured: Iterable[Mapping[str, float]]) -> dict[str, Value]:
    """The mean of each measure over the questions that have it, in the order of `MEASURES`."""
    return {name: Value(fmean(values), len(values)) for name, values in by_measure(measured).items()}


def by_measure(measured: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """The values of each measure that any question has."""
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    for one in measured:
        for name, value in one.items():
            values[name].append(value)
    return {name: all_ for name, all_ in values.items() if all_}
