"""A question's words, as the documents that are looked through have them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from uuid import UUID

from muniment.documents.models import Passage
from muniment.documents.queries import languages
from muniment.scope import Scope
from workers.engines import SparseVector
from workers.engines.sparse import USUAL, query_vector, stemmer_of, tokens

# How long the languages of libraries are known for: the first document of another one changes them.
KNOWN_SECONDS = 30

# Choices of libraries whose languages are known at once; then all are asked for anew.
MOST_KNOWN = 1000

Looked = tuple[UUID, frozenset[UUID]]
_known: dict[Looked, tuple[float, frozenset[str | None]]] = {}


def words_of(scope: Scope, question: str, libraries: Iterable[UUID] | None = None) -> SparseVector:
    """Stemmed in each language of what is looked through, and as texts of no sure language are.

    `libraries` can only narrow what the scope may read, None is all of it.
    """
    looked = scope.libraries if libraries is None else scope.libraries & frozenset(libraries)
    return query_vector(question, _stemmers(scope, looked))


def _stemmers(scope: Scope, libraries: frozenset[UUID]) -> frozenset[str | None]:
    now = time.monotonic()
    since, stemmers = _known.get((scope.tenant, libraries), (0.0, frozenset[str | None]()))
    if not stemmers or now - since > KNOWN_SECONDS:
        stemmers = frozenset({USUAL, *map(stemmer_of, languages(scope, libraries))})
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[scope.tenant, libraries] = now, stemmers
    return stemmers


class Words:
    """A question's words, to be compared with passages in the language of each."""

    def __init__(self, question: str) -> None:
        self._question = question
        self._stemmed: dict[str | None, frozenset[str]] = {}

    def share_in(self, passage: Passage, text: str) -> float:
        """How many of them the text, a part of the passage, has."""
        stemmer = stemmer_of(passage.version.language)
        if stemmer not in self._stemmed:
            self._stemmed[stemmer] = frozenset(tokens(self._question, stemmer))
        wanted = self._stemmed[stemmer]
        return len(wanted.intersection(tokens(text, stemmer))) / len(wanted) if wanted else 0.0
