"""Finding passages without an answer: the workers search, the database says what may be seen."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from muniment.audit import actions
from muniment.audit.services import record_alone
from muniment.documents.models import Document, Passage
from muniment.documents.queries import published_passages
from muniment.jobs.replies import ask
from muniment.pages.errors import NotFound
from muniment.scope import Scope
from muniment.search.asked import Asked, Narrowing

SEARCH_SECONDS = 5
# Characters of a passage around its best sentence.
AROUND = 200


@dataclass(frozen=True)
class Found:
    """A passage, the sentence in it that fits best and what to mark, as offsets in its text.

    `alike` are passages that say the same.
    """

    passage: Passage
    best: tuple[int, int]
    marks: list[tuple[int, int]]
    alike: list[Passage]

    def snippet(self) -> list[tuple[str, bool]]:
        """The best sentence and what stands around it, in pieces, each marked or not."""
        text = self.passage.text
        start, end = _window(text, *self.best)
        pieces, at = [("… ", False)] if start else [], start
        for first, last in self.marks:
            first, last = max(first, start), min(last, end)
            if first < last:
                pieces += [(text[at:first], False), (text[first:last], True)]
                at = last
        pieces += [(text[at:end], False), *([(" …", False)] if end < len(text) else [])]
        return [piece for piece in pieces if piece[0]]


def _window(text: str, start: int, end: int) -> tuple[int, int]:
    """Whole words around a range; a sentence without an end is cut, too."""
    end = min(end, start + 3 * AROUND)
    first, last = max(0, start - AROUND // 2), min(len(text), end + AROUND)
    if first:
        first = text.find(" ", first, start) + 1 or start
    if last < len(text):
        last = max(text.rfind(" ", end, last), end)
    return first, last


@dataclass(frozen=True)
class Group:
    """A document with its best passages, and how many more of it were found."""

    document: Document
    passages: list[Found]
    more: int


@dataclass(frozen=True)
class Results:
    """A page of documents, best first. `met`: some of the words are in the documents; `common`: in most."""

    groups: list[Group]
    passages: int
    documents: int
    pages: int
    met: bool
    common: bool


def search(scope: Scope, asked: Asked, narrowing: Narrowing, page: int = 1) -> Results:
    """The best passages for what was asked. Raises `Unavailable`, `NotFound`."""
    if not narrowing.libraries <= scope.libraries:
        raise NotFound
    question = {
        "tenant": str(scope.tenant),
        "person": str(scope.person),
        "query": asked.typed,
        "where": narrowing.told(),
        "page": page,
    }
    answer = ask("search.run", "search", question, timeout=SEARCH_SECONDS)
    found = _found(scope, answer["hits"])
    record_alone(
        scope,
        actions.SEARCHED,
        details={"libraries": sorted(map(str, narrowing.libraries)), "hits": len(found)},
        private={"query": asked.typed},
    )
    return Results(
        groups=_grouped(found, answer["more"]),
        **{name: answer[name] for name in ("passages", "documents", "pages", "met", "common")},
    )


def _found(scope: Scope, hits: list[dict[str, Any]]) -> list[Found]:
    """The worker may be late: what may be seen is told by the database now."""
    asked = [(UUID(hit["passage"]), [UUID(id) for id in hit["alike"]], hit) for hit in hits]
    passages = published_passages(scope, [id for first, others, _hit in asked for id in (first, *others)])
    return [
        Found(
            passages[first],
            tuple(hit["best"]),
            [tuple(mark) for mark in hit["marks"]],
            [passages[id] for id in others if id in passages],
        )
        for first, others, hit in asked
        if first in passages
    ]


def _grouped(found: list[Found], more: dict[str, int]) -> list[Group]:
    groups = []
    for _id, passages in groupby(found, key=lambda one: one.passage.version.document_id):
        one = list(passages)
        document = one[0].passage.version.document
        groups.append(Group(document, one, more.get(str(document.id), 0)))
    return groups
