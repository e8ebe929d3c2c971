"""Finding passages without an answer: the workers search, the database says what may be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from muniment.audit import actions
from muniment.audit.services import record_alone
from muniment.documents.models import Passage
from muniment.documents.queries import published_passages
from muniment.jobs.replies import ask
from muniment.pages.errors import Invalid, NotFound
from muniment.scope import Scope

SEARCH_SECONDS = 5


@dataclass(frozen=True)
class Found:
    """A passage and the sentence in it that fits best, as offsets in its text."""

    passage: Passage
    score: float
    best_start: int
    best_end: int

    @property
    def before(self) -> str:
        return self.passage.text[: self.best_start]

    @property
    def best(self) -> str:
        return self.passage.text[self.best_start : self.best_end]

    @property
    def after(self) -> str:
        return self.passage.text[self.best_end :]


def search(scope: Scope, query: str, libraries: Iterable[UUID] = (), limit: int = 20) -> list[Found]:
    """The best passages for a query in the given libraries, or in all the scope reads."""
    query = " ".join(query.split())
    wanted = frozenset(libraries)
    if not query or len(query) > settings.QUESTION_LIMIT_CHARS:
        raise Invalid(_("Write what you look for, in at most 8,000 characters."))
    if not wanted <= scope.libraries:
        raise NotFound
    answer = ask(
        "search.run",
        "search",
        {
            "tenant": str(scope.tenant),
            "person": str(scope.person),
            "query": query,
            "libraries": sorted(map(str, wanted)),
            "limit": limit,
        },
        timeout=SEARCH_SECONDS,
    )
    passages = published_passages(scope, [UUID(hit["passage"]) for hit in answer["hits"]])
    found = [
        Found(passages[UUID(hit["passage"])], hit["score"], hit["best_start"], hit["best_end"])
        for hit in answer["hits"]
        if UUID(hit["passage"]) in passages
    ]
    record_alone(
        scope,
        actions.SEARCHED,
        details={"libraries": sorted(map(str, wanted)), "hits": len(found)},
        private={"query": query},
    )
    return found
