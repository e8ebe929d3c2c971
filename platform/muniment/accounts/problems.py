"""Errors turned into answers in one place; refusals go into the trail."""

from __future__ import annotations

import logging
import sqlite3
import sys
from collections.abc import Callable

from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.defaults import server_error

from muniment.accounts.errors import TrailUnavailable
from muniment.audit import actions
from muniment.audit.actions import Outcome, Stage
from muniment.audit.errors import AuditUnavailable
from muniment.audit.services import record_alone
from muniment.pages.errors import DiskFull, Forbidden, NotFound, Problem, Unavailable
from muniment.scope import Scope

log = logging.getLogger(__name__)

# The second is what a reader meets who cannot make its part of the shared index of the log.
SQLITE_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}


class Problems:
    """Turns errors into answers in one place, and writes refusals into the trail.

    The innermost middleware, and not async on purpose: Django then runs all of them in the request's one
    thread. Else each would hop to that thread and back, twice, which cost a third of a page.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        problem = as_problem(error)
        if problem is None:
            return None
        scope = getattr(request, "scope_of_person", None)
        if isinstance(problem, NotFound | Forbidden) and isinstance(scope, Scope):
            try:
                record_alone(
                    scope,
                    actions.ACCESS_DENIED,
                    stage=Stage.DENIED,
                    outcome=Outcome.DENIED,
                    reason=problem.code,
                    details={"method": request.method, "status": problem.status},
                    private={"path": request.path[:500]},
                )
            except (AuditUnavailable, DatabaseError) as failure:
                error, problem = failure, TrailUnavailable()
        if isinstance(problem, Unavailable):
            log.error("%s request=%s", problem.code, getattr(request, "request_id", ""), exc_info=error)
        return answer(request, problem)


def form_too_old(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For Django's guard against forged requests."""
    return answer(request, Forbidden(_("The page was open too long. Load it again and repeat what you did.")))


def fault(request: HttpRequest) -> HttpResponse:
    """Django's handler500: what no view could answer, such as a database that fails before one is reached.

    A page for people is the plain one, which asks the database for nothing.
    """
    error = sys.exc_info()[1]
    problem = as_problem(error) if isinstance(error, Exception) else None
    if problem is None:
        return server_error(request)
    if wants_json(request):
        return answer(request, problem)
    return HttpResponse(render_to_string("500.html", {"message": problem.detail}), status=problem.status)


def as_problem(error: Exception) -> Problem | None:
    """The problem that an exception is for a person, or None where it is a fault of ours."""
    if isinstance(error, Problem):
        return error
    if _is_full(error):
        return DiskFull()
    if isinstance(error, Http404):
        return NotFound()
    if isinstance(error, PermissionDenied):
        return Forbidden()
    if isinstance(error, AuditUnavailable):
        return TrailUnavailable()
    if isinstance(error, OperationalError):
        # Locked for too long, full, or gone: all of them pass, and what was begun is rolled back.
        return Unavailable()
    return None


def _is_full(error: BaseException | None) -> bool:
    """Whether the database had no room, said by SQLite or PostgreSQL themselves somewhere beneath."""
    while error is not None:
        if (
            getattr(error, "sqlite_errorcode", None) in SQLITE_FULL
            or getattr(error, "sqlstate", None) == "53100"
        ):
            return True
        error = error.__cause__
    return False


def wants_json(request: HttpRequest) -> bool:
    accept = request.headers.get("Accept", "")
    return (
        "application/json" in accept
        or "text/event-stream" in accept
        or request.content_type == "application/json"
    )


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A problem as a page, or for scripts as RFC 9457 `problem+json`, which they show as a toast."""
    htmx = bool(getattr(request, "htmx", False))
    if htmx or wants_json(request):
        body = {"type": "about:blank", "status": problem.status, "code": problem.code}
        body["detail"] = str(problem.detail)
        # To htmx 422 means a form with its errors, which it puts into the page.
        status = 400 if htmx and problem.status == 422 else problem.status
        return JsonResponse(body, status=status, content_type="application/problem+json")
    known = {400, 403, 404, 503}
    template = f"{problem.status if problem.status in known else 400}.html"
    # Only faults carry a number to ask with: pages of what is absent and what is foreign are the same bytes.
    number = getattr(request, "request_id", "") if problem.status >= 500 else ""
    context = {"message": problem.detail, "request_id": number}
    return render(request, template, context, status=problem.status)
