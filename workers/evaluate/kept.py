"""A library's kept questions, asked as the person who wants to know would ask them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from uuid import UUID

from django.conf import settings

from muniment import __version__
from muniment.accounts.models import Person
from muniment.accounts.services import scope_of_person
from muniment.documents.models import Version
from muniment.documents.queries import published_documents
from muniment.evaluation import queries, services
from muniment.evaluation.models import Case, Run, RunState
from muniment.scope import Origin, Scope
from muniment.tenancy.models import Library
from muniment.tenancy.services import system_scope
from workers import generations
from workers.engines import EngineUnavailable, IndexUnavailable
from workers.evaluate import report
from workers.evaluate.dataset import Evidence, Query
from workers.evaluate.run import Asked, Corpus, ask_all, measure, summary
from workers.leases import Lease

# Parts that are away are waited for this often; then the run has failed.
MOST_ATTEMPTS = 3
# Pages kept of what was found for each question.
KEPT_PAGES = 10


def work_on(lease: Lease) -> None:
    """Bring one run to its end. Raises `LeaseLost`, `EngineUnavailable`, `IndexUnavailable`."""
    job = lease.job
    run = Run.objects.select_related("library").filter(pk=job.subject, tenant=job.tenant).first()
    if run is None or run.state != RunState.WAITING:
        return
    person = Person.objects.filter(pk=run.person, is_active=True).first() if run.person else None
    if person is None:
        services.fail_run(system_scope(job.tenant, job.request_id), run, "person_gone")
        return
    scope = scope_of_person(person, Origin(kind="person", request_id=job.request_id))
    if run.library_id not in scope.curates:
        services.fail_run(scope, run, "not_allowed")
        return
    if job.attempt > MOST_ATTEMPTS:
        services.fail_run(scope, run, "unavailable")
        return
    try:
        ask_kept(scope, run, beat=lease.beat)
    except (EngineUnavailable, IndexUnavailable):
        if job.attempt < MOST_ATTEMPTS:
            raise
        services.fail_run(scope, run, "unavailable")


def ask_kept(scope: Scope, run: Run, beat: Callable[[], None] = lambda: None) -> list[dict[str, float]]:
    """Ask all kept questions of the run's library and end the run; gives the measures of each.

    Raises `Conflict` where it has ended.
    """
    asked = ask_all(_corpus(scope, run.library), _questions(queries.cases(scope, run.library_id)), beat=beat)
    measured = [measure(one) for one in asked]
    store(scope, run, asked, measured)
    return measured


def store(
    scope: Scope,
    run: Run,
    asked: Sequence[Asked],
    measured: Sequence[dict[str, float]],
    documents: dict[str, UUID] | None = None,
) -> None:
    """End a run with what was found; `documents` has the stored document of a data set's ids."""
    rows = [
        {
            "query": one.query.id,
            "question": one.query.question,
            "measures": values,
            "found": [
                {
                    "document": str(documents[document] if documents else document),
                    "page": page,
                    "score": score,
                }
                for (document, page), score in one.pages[:KEPT_PAGES]
            ],
        }
        for one, values in zip(asked, measured, strict=True)
    ]
    services.end_run(
        scope,
        run,
        services.as_results(run, rows),
        questions=_hash(one.query for one in asked),
        settings=_settings(),
        measures=report.means(summary(measured)),
        search_ms=report.latency(asked),
    )


def _questions(cases: Iterable[Case]) -> list[Query]:
    return [
        Query(
            id=str(case.id),
            question=case.question,
            evidence=(Evidence(str(case.document), case.page),) if case.document else (),
        )
        for case in cases
    ]


def _corpus(scope: Scope, library: Library) -> Corpus:
    """What the person may read of the library; documents go by their own ids."""
    versions: dict[str, Version] = {}
    for document in published_documents(scope, library.id):
        if document.current:
            versions[str(document.id)] = document.current
    return Corpus(scope, library, {UUID(id): id for id in versions}, versions, ())


def _hash(questions: Iterable[Query]) -> str:
    return hashlib.sha256(json.dumps([asdict(query) for query in questions]).encode()).hexdigest()


def _settings() -> dict[str, object]:
    """What answered: versions and hashes, so that a later run can be told apart from this one."""
    generation = generations.serving()
    return {
        "version": __version__,
        "embedder": generation.embedder,
        "embedder_sha256": generation.embedder_sha256,
        "splitter": generation.splitter,
        "reranker": settings.RERANKER,
        "index_generation": generation.number,
        "passages_shown": settings.PASSAGES_SHOWN,
    }
