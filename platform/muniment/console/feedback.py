"""A page for curators: answers that people found not right and let them see, beside the passages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from muniment.accounts.requests import scope_of_request
from muniment.conversations.models import Feedback, Mode, TurnState
from muniment.conversations.queries import SeenSource, sources_of_turns
from muniment.conversations.rendering import answer_html, quotes_html
from muniment.conversations.shown import card, has_words
from muniment.conversations.statements import read
from muniment.documents.viewer import Cited, page_url
from muniment.evaluation import queries, services
from muniment.pages.errors import Conflict
from muniment.scope import Scope

PAGE = 20


@require_GET
def feedback(request: HttpRequest) -> HttpResponse:
    """Who asked is not said. That these were looked at is written down before they leave."""
    scope = scope_of_request(request)
    page: Any = Paginator(queries.shared_feedback(scope), PAGE).get_page(request.GET.get("page"))
    rows = list(page.object_list)
    services.record_feedback_viewed(scope, [row.turn_id for row in rows])
    page.object_list = _shown(scope, rows)
    context = {"feedback": page, "quality_url": reverse("quality")}
    return render(request, "console/feedback.html", context)


def _shown(scope: Scope, rows: list[Feedback]) -> list[dict[str, Any]]:
    sources = sources_of_turns(scope, [row.turn for row in rows])
    kept = queries.kept_turns(scope, [row.turn_id for row in rows])
    return [_row(row, sources[row.turn_id], row.turn_id in kept) for row in rows]


def _row(row: Feedback, seen: list[SeenSource], kept: bool) -> dict[str, Any]:
    turn = row.turn
    refused = turn.state == TurnState.NOT_IN_DOCUMENTS
    read_by_model = [source for source in seen if source.source.given or refused]
    words = quotes_html if turn.mode == Mode.QUOTE else answer_html
    numbers = {source.source.n: "" for source in read_by_model}
    return {
        "id": turn.id,
        "at": row.at,
        "question": turn.question,
        "reason": row.reason,
        "answer_html": words(turn.answer, numbers, read(turn.statements)) if has_words(turn) else "",
        "state": TurnState(turn.state).label,
        "sources": [card(source, _page(source)) for source in read_by_model],
        "keep_url": "" if kept else reverse("keep-feedback", args=[turn.id]),
    }


def _page(seen: SeenSource) -> str:
    """The document's page with the passage marked: the citations of an answer are its asker's."""
    if seen.passage is None:
        return ""
    cited = Cited(seen.passage, seen.source.best_start, seen.source.best_end)
    return page_url(seen.passage.version, seen.source.page, cited)


@require_POST
def keep(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """The question becomes a kept one."""
    try:
        case, *_others = services.keep_shared_turn(scope_of_request(request), turn_id)
    except Conflict as problem:
        messages.error(request, str(problem.detail))
        return redirect("quality-feedback")
    messages.success(request, _("The question is kept. Say here which document answers it."))
    return redirect(f"{reverse('library-quality', args=[case.library_id])}?case={case.id}")
