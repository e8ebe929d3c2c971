"""What is read of kept questions and of runs: by curators of the library."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from muniment.conversations.models import Feedback, Turn
from muniment.conversations.queries import counting_sources
from muniment.documents.models import Document
from muniment.documents.queries import visible_documents
from muniment.evaluation.comparison import Comparison, compare
from muniment.evaluation.models import Case, Result, Run, RunState
from muniment.pages.errors import Forbidden, NotFound
from muniment.scope import Scope
from muniment.tenancy.models import Library
from muniment.tenancy.queries import readable_libraries


def curated_libraries(scope: Scope) -> QuerySet[Library]:
    """The libraries whose questions this person keeps. Raises `Forbidden` where there is none."""
    if not scope.curates:
        raise Forbidden
    return readable_libraries(scope).filter(pk__in=scope.curates)


def curated_library(scope: Scope, library: UUID) -> Library:
    found = curated_libraries(scope).filter(pk=library).first()
    if found is None:
        raise NotFound
    return found


def cases(scope: Scope, library: UUID) -> QuerySet[Case]:
    return Case.objects.filter(tenant=scope.tenant, library=library, library__in=scope.curates)


def case(scope: Scope, case: UUID) -> Case:
    found = Case.objects.filter(pk=case, tenant=scope.tenant, library__in=scope.curates).first()
    if found is None:
        raise NotFound
    return found


def runs(scope: Scope, library: UUID) -> QuerySet[Run]:
    """A library's runs, newest first."""
    rows = Run.objects.filter(tenant=scope.tenant, library=library, library__in=scope.curates)
    return rows.order_by("-created_at")


def run(scope: Scope, run: UUID) -> Run:
    rows = Run.objects.select_related("library").filter(tenant=scope.tenant, library__in=scope.curates)
    found = rows.filter(pk=run).first()
    if found is None:
        raise NotFound
    return found


def run_before(scope: Scope, run: Run) -> Run | None:
    """The last run of the same set that ended before this one began."""
    earlier = runs(scope, run.library_id).filter(name=run.name, state=RunState.DONE)
    return earlier.filter(created_at__lt=run.created_at).first()


def compared(before: Run, after: Run) -> list[Comparison]:
    """Questions that both runs have, in the same words."""
    return compare(_by_question(before), _by_question(after))


def shared_feedback(scope: Scope) -> QuerySet[Feedback]:
    """What people found not right and let curators see, newest first. Raises `Forbidden` for who is none.

    Only where all that the answer was made of lies in libraries whose questions this person keeps, in
    documents that they may read now: an answer repeats its passages.
    """
    if not scope.curates:
        raise Forbidden
    open_now = visible_documents(scope).filter(library__in=scope.curates).values("pk")
    made_of = counting_sources(scope).filter(turn=OuterRef("turn"))
    shared = Feedback.objects.filter(tenant=scope.tenant, shared=True, value=-1).select_related("turn")
    seen = shared.filter(Exists(made_of)).exclude(Exists(made_of.exclude(document__in=open_now)))
    return seen.order_by("-at", "-pk")


def shared_turn(scope: Scope, turn: UUID) -> Turn:
    found = shared_feedback(scope).filter(turn=turn).first()
    if found is None:
        raise NotFound
    return found.turn


def libraries_of(scope: Scope, turn: Turn) -> list[UUID]:
    """The libraries that an answer which curators may see was made of."""
    documents = counting_sources(scope, turn).values("document")
    found = visible_documents(scope).filter(pk__in=documents, library__in=scope.curates)
    return sorted(set(found.values_list("library", flat=True)))


def cases_of_turn(scope: Scope, turn: UUID) -> set[UUID]:
    """The libraries in which a turn's question is kept."""
    rows = Case.objects.filter(tenant=scope.tenant, library__in=scope.curates, turn=turn)
    return set(rows.values_list("library", flat=True))


def kept_turns(scope: Scope, turns: Iterable[UUID]) -> set[UUID]:
    """Those of `turns` whose question is kept already, in any library of this person's."""
    rows = Case.objects.filter(tenant=scope.tenant, library__in=scope.curates, turn__in=list(turns))
    return {turn for turn in rows.values_list("turn", flat=True) if turn}


def _by_question(run: Run) -> dict[str, dict[str, float]]:
    rows = run.results.values_list("query", "question", "measures")
    return {f"{query}|{question}": measures for query, question, measures in rows}


def documents_found(scope: Scope, results: list[Result]) -> dict[str, Document]:
    """The documents in these results that this person may see, by the text of their ids."""
    ids = {found["document"] for result in results for found in result.found}
    return {str(document.id): document for document in visible_documents(scope).filter(pk__in=ids)}
