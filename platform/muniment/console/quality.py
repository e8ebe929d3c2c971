"""Pages for curators: the questions kept of a library, and whether what answers them is found."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from muniment.accounts.requests import scope_of_request
from muniment.console.forms import CaseForm
from muniment.documents.models import Document
from muniment.documents.queries import published_documents, visible_documents
from muniment.evaluation import queries, services
from muniment.evaluation.comparison import Comparison
from muniment.evaluation.models import Case, Result, Run, RunState
from muniment.pages.errors import Conflict, Invalid
from muniment.scope import Scope
from muniment.tenancy.models import Library

RUNS_SHOWN = 10
# Pages listed of what was found for a question.
FOUND_SHOWN = 5
MEASURES = {
    "mrr@10": gettext_lazy("how high the right document stands"),
    "recall@5": gettext_lazy("right document in the first 5"),
    "page-hit@1": gettext_lazy("right page first"),
    "page-hit@5": gettext_lazy("right page in the first 5"),
}
FAULTS = {
    "unavailable": gettext_lazy("The search did not answer. Try again in a moment."),
    "person_gone": gettext_lazy("Who asked for it is not here any more."),
    "not_allowed": gettext_lazy("Who asked for it does not keep this library any more."),
}
TONES = {RunState.DONE: "good", RunState.FAILED: "bad", RunState.WAITING: ""}


@require_GET
def quality(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    libraries = [
        {
            "name": library.name,
            "url": reverse("library-quality", args=[library.id]),
            "cases": queries.cases(scope, library.id).count(),
            "last": queries.runs(scope, library.id).filter(state=RunState.DONE).first(),
        }
        for library in queries.curated_libraries(scope)
    ]
    context = {
        "libraries": libraries,
        "feedback_url": reverse("quality-feedback"),
        "feedback": queries.shared_feedback(scope).count(),
    }
    return render(request, "console/quality.html", context)


@require_GET
def library(request: HttpRequest, library_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    found = queries.curated_library(scope, library_id)
    cases = list(queries.cases(scope, found.id))
    chosen = next((case for case in cases if str(case.id) == request.GET.get("case")), None)
    initial = _initial(scope, chosen) if chosen else None
    form = CaseForm(published_documents(scope, found.id), initial=initial)
    return _library_page(request, scope, found, cases, form)


def _initial(scope: Scope, case: Case) -> dict[str, Any]:
    document = visible_documents(scope).filter(pk=case.document).first() if case.document else None
    return {
        "case": case.id,
        "question": case.question,
        "document": document.name if document else "",
        "page": case.page,
    }


def _library_page(
    request: HttpRequest, scope: Scope, found: Library, cases: list[Case], form: CaseForm, status: int = 200
) -> HttpResponse:
    names = {
        row.id: row
        for row in visible_documents(scope).filter(pk__in=[c.document for c in cases if c.document])
    }
    runs = list(queries.runs(scope, found.id)[:RUNS_SHOWN])
    context = {
        "library": {"name": found.name},
        "quality_url": reverse("quality"),
        "cases": [_case(case, names.get(case.document) if case.document else None) for case in cases],
        "runs": [_run(run) for run in runs],
        "waiting": any(run.state == RunState.WAITING for run in runs),
        "form": form,
        "form_open": bool(form.errors or form.initial),
        "keep_url": reverse("keep-case", args=[found.id]),
        "run_url": reverse("start-run", args=[found.id]) if cases else "",
    }
    return render(request, "console/library_quality.html", context, status=status)


def _case(case: Case, document: Document | None) -> dict[str, Any]:
    return {
        "question": case.question,
        "document": document.name if document else "",
        "page": case.page if document else None,
        "change_url": f"{reverse('library-quality', args=[case.library_id])}?case={case.id}",
        "remove_url": reverse("remove-case", args=[case.id]),
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "at": run.created_at,
        "url": reverse("run", args=[run.id]) if run.state == RunState.DONE else "",
        "state": RunState(run.state).label,
        "tone": TONES[RunState(run.state)],
        "fault": FAULTS.get(run.error, ""),
        "measures": _measures(run),
    }


def _measures(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "text": text,
            "percent": round(100 * run.measures[name]["mean"]),
            "n": run.measures[name]["questions"],
        }
        for name, text in MEASURES.items()
        if name in run.measures
    ]


@require_POST
def keep(request: HttpRequest, library_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    found = queries.curated_library(scope, library_id)
    form = CaseForm(published_documents(scope, library_id), request.POST)
    if form.is_valid():
        try:
            changed = form.cleaned_data.pop("case")
            if changed:
                services.change_case(scope, changed, **form.cleaned_data)
            else:
                services.add_case(scope, library_id, **form.cleaned_data)
            return redirect("library-quality", library_id)
        except (Invalid, Conflict) as problem:
            form.add_error(None, str(problem.detail))
    cases = list(queries.cases(scope, library_id))
    return _library_page(request, scope, found, cases, form, status=422)


@require_POST
def remove(request: HttpRequest, case_id: UUID) -> HttpResponse:
    return redirect("library-quality", services.remove_case(scope_of_request(request), case_id))


@require_POST
def start(request: HttpRequest, library_id: UUID) -> HttpResponse:
    try:
        services.request_run(scope_of_request(request), library_id)
        messages.success(request, _("The questions are being asked. Reload the page in a moment."))
    except (Invalid, Conflict) as problem:
        messages.error(request, str(problem.detail))
    return redirect("library-quality", library_id)


@require_POST
def keep_question(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """From an answer: its question becomes a kept one."""
    scope = scope_of_request(request)
    try:
        case, *_others = services.keep_turn(scope, turn_id)
    except Conflict as problem:
        messages.error(request, str(problem.detail))
        return redirect("quality")
    messages.success(request, _("The question is kept. Say here which document answers it."))
    return redirect(f"{reverse('library-quality', args=[case.library_id])}?case={case.id}")


@require_GET
def run(request: HttpRequest, run_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    found = queries.run(scope, run_id)
    results = list(found.results.all())
    documents = queries.documents_found(scope, results)
    before = queries.run_before(scope, found)
    changes = queries.compared(before, found) if before else []
    context = {
        "run": {"at": found.created_at, "search_ms": found.search_ms, "settings": found.settings},
        "library": {"name": found.library.name, "url": reverse("library-quality", args=[found.library_id])},
        "measures": _measures(found),
        "before": before.created_at if before else None,
        "changes": [_change(change) for change in changes if change.measure in MEASURES],
        "results": [_result(result, documents) for result in results],
    }
    return render(request, "console/run.html", context)


def _change(change: Comparison) -> dict[str, Any]:
    moved = bool(change.better + change.worse)
    return {
        "text": MEASURES[change.measure],
        "before": round(100 * change.before),
        "after": round(100 * change.after),
        "better": change.better,
        "worse": change.worse,
        "same": change.same,
        "verdict": _("no change")
        if not moved
        else _("may be chance")
        if change.is_noise
        else _("a real change"),
        "tone": "" if not moved or change.is_noise else "good" if change.after > change.before else "bad",
    }


def _result(result: Result, documents: dict[str, Document]) -> dict[str, Any]:
    pages = [
        {"name": documents[one["document"]].name, "page": one["page"]}
        for one in result.found[:FOUND_SHOWN]
        if one["document"] in documents
    ]
    rank = result.measures.get("page-hit@5", result.measures.get("recall@5"))
    return {"question": result.question, "pages": pages, "judged": rank is not None, "right": bool(rank)}
