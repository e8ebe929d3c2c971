"""What happens to kept questions and to runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from muniment.audit import actions
from muniment.audit.actions import Outcome
from muniment.audit.services import Thing, record
from muniment.conversations.queries import curated_of
from muniment.conversations.queries import turn as own_turn
from muniment.documents.queries import visible_documents
from muniment.evaluation import queries
from muniment.evaluation.models import Case, Result, Run, RunState
from muniment.jobs import services as jobs
from muniment.jobs.models import Kind
from muniment.pages.errors import Conflict, Invalid
from muniment.scope import Scope


@transaction.atomic
def add_case(
    scope: Scope,
    library_id: UUID,
    question: str,
    document: UUID | None = None,
    page: int | None = None,
    turn: UUID | None = None,
) -> Case:
    """Keep a question. Without a document it is only looked at; with one it is measured."""
    queries.curated_library(scope, library_id)
    if turn is not None and queries.cases(scope, library_id).filter(turn=turn).exists():
        raise Conflict(_("This question is among the kept ones already."))
    case = Case(tenant=scope.tenant, library_id=library_id, turn=turn, added_by=scope.person)
    return _write(scope, case, actions.CASE_ADDED, question, document, page)


@transaction.atomic
def change_case(
    scope: Scope, case_id: UUID, question: str, document: UUID | None = None, page: int | None = None
) -> Case:
    """Say otherwise what is asked, or what answers it."""
    return _write(scope, queries.case(scope, case_id), actions.CASE_CHANGED, question, document, page)


def _write(
    scope: Scope, case: Case, action: str, question: str, document: UUID | None, page: int | None
) -> Case:
    question, longest = question.strip(), settings.QUESTION_LIMIT_CHARS
    if not question or len(question) > longest:
        raise Invalid(_("Write the question, in at most %(n)s characters.") % {"n": longest})
    if document and not visible_documents(scope).filter(library=case.library_id, pk=document).exists():
        raise Invalid(_("Choose a document of this library."))
    if page is not None and (document is None or page < 1):
        raise Invalid(_("A page is a number from 1, of the document that you chose."))
    case.question, case.document, case.page = question, document, page
    case.save()
    record(
        scope,
        action,
        Thing("case", case.id),
        details={"library": case.library_id, "turn": case.turn},
        private={"question": question},
    )
    return case


def keep_turn(scope: Scope, turn_id: UUID) -> list[Case]:
    """Make one's own question a case of each library that it was asked of and that one curates.

    What it cited is not taken for right: whoever keeps it says so later.
    """
    turn = own_turn(scope, turn_id)
    libraries = curated_of(scope, turn)
    if not libraries:
        raise Invalid(_("You keep the questions of none of the libraries that this was asked of."))
    with transaction.atomic():
        return [add_case(scope, library, turn.question, turn=turn.id) for library in libraries]


@transaction.atomic
def keep_shared_turn(scope: Scope, turn_id: UUID) -> list[Case]:
    """Make the question of an answer that was not right a case of each library that it was made of."""
    turn = queries.shared_turn(scope, turn_id)
    kept = queries.cases_of_turn(scope, turn.id)
    libraries = [library for library in queries.libraries_of(scope, turn) if library not in kept]
    if not libraries:
        raise Conflict(_("This question is among the kept ones already."))
    return [add_case(scope, library, turn.question, turn=turn.id) for library in libraries]


def record_feedback_viewed(scope: Scope, turns: Iterable[UUID]) -> None:
    """That a curator looked at these answers of others; written before they leave."""
    with transaction.atomic():
        record(scope, actions.FEEDBACK_VIEWED, details={"turns": list(turns)})


@transaction.atomic
def remove_case(scope: Scope, case_id: UUID) -> UUID:
    """Forget a kept question; gives its library. What earlier runs found stays with them."""
    case = queries.case(scope, case_id)
    record(
        scope,
        actions.CASE_REMOVED,
        Thing("case", case.id),
        details={"library": case.library_id},
        private={"question": case.question},
    )
    case.delete()
    return case.library_id


@transaction.atomic
def request_run(scope: Scope, library_id: UUID) -> Run:
    """Have the workers ask all kept questions of a library, as this person would."""
    library = queries.curated_library(scope, library_id)
    if not queries.cases(scope, library.id).exists():
        raise Invalid(_("Keep a question first."))
    if queries.runs(scope, library.id).filter(state=RunState.WAITING).exists():
        raise Conflict(_("A run is on its way already."))
    run = begin_run(scope, library_id, "")
    jobs.create(scope, Kind.EVALUATE, run.id)
    return run


@transaction.atomic
def begin_run(scope: Scope, library_id: UUID, name: str) -> Run:
    """A run of a data set (by its name), or of the kept questions (without one)."""
    run = Run.objects.create(tenant=scope.tenant, person=scope.person, library_id=library_id, name=name[:120])
    record(scope, actions.EVALUATION_BEGUN, Thing("run", run.id), details={"library": library_id})
    return run


@transaction.atomic
def end_run(scope: Scope, run: Run, results: Iterable[Result], **facts: object) -> None:
    """Store what a run found, once. `facts` are questions, settings, measures and search_ms."""
    ended = Run.objects.filter(pk=run.pk, state=RunState.WAITING)
    if not ended.update(state=RunState.DONE, finished_at=timezone.now(), **facts):
        raise Conflict
    made = Result.objects.bulk_create(results, batch_size=200)
    record(
        scope,
        actions.EVALUATION_ENDED,
        Thing("run", run.id),
        details={"library": run.library_id, "questions": len(made)},
    )
    run.refresh_from_db()


@transaction.atomic
def fail_run(scope: Scope, run: Run, code: str) -> None:
    """`code` is no sentence; the page has one for it."""
    ended = Run.objects.filter(pk=run.pk, state=RunState.WAITING)
    if not ended.update(state=RunState.FAILED, error=code, finished_at=timezone.now()):
        return
    record(
        scope,
        actions.EVALUATION_ENDED,
        Thing("run", run.id),
        outcome=Outcome.FAILED,
        reason=code,
        details={"library": run.library_id},
    )


def as_results(run: Run, rows: Iterable[Mapping[str, Any]]) -> list[Result]:
    """Rows with query, question, measures and found, in their order."""
    return [Result(tenant=run.tenant, run=run, ordinal=at, **row) for at, row in enumerate(rows)]
