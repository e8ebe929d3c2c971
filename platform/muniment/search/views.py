"""The page for finding passages without an answer."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from muniment.accounts.requests import scope_of_request, wants_part
from muniment.documents.presentation import short_page_name
from muniment.documents.queries import page_labels
from muniment.documents.viewer import Cited, page_url
from muniment.pages.errors import Invalid, Problem, Unavailable
from muniment.scope import Scope
from muniment.search import services
from muniment.search.forms import SearchForm
from muniment.search.services import Found
from muniment.tenancy.models import Library
from muniment.tenancy.queries import library_by_slug

# Words around the best sentence in a card.
AROUND_CHARS = 240


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    slug = request.GET.get("library", "")
    library = library_by_slug(scope, slug) if slug else None
    context: dict[str, Any] = {"form": SearchForm(scope, request.GET), "searched": None, "passages": []}
    status = 200
    if request.GET.get("q", "").strip():
        try:
            context |= _results(scope, request.GET["q"], library)
        except (Invalid, Unavailable) as problem:
            context["error"], status = _sentence(problem), problem.status
    if wants_part(request):
        # htmx puts in only what succeeds; the part says itself what went wrong.
        return render(request, "search/_results.html", context)
    return render(request, "search/search.html", context, status=status)


def _sentence(problem: Problem) -> str:
    if isinstance(problem, Unavailable):
        return _("The search does not answer right now. Your documents are safe; try again in a minute.")
    return str(problem.detail)


def _results(scope: Scope, words: str, library: Library | None) -> dict[str, Any]:
    begun = time.monotonic()
    found = services.search(scope, words, [library.id] if library else [])
    return {
        "searched": {
            "words": words,
            "count": len(found),
            "seconds": time.monotonic() - begun,
            "where": library.name if library else _("all libraries"),
        },
        "passages": _cards(found, named=library is None),
    }


def _cards(found: Iterable[Found], named: bool) -> list[dict[str, Any]]:
    found = list(found)
    labels = page_labels(hit.passage for hit in found)
    return [_card(n, hit, labels[hit.passage.id], named) for n, hit in enumerate(found, 1)]


def _card(n: int, hit: Found, label: str, named: bool) -> dict[str, Any]:
    passage, version = hit.passage, hit.passage.version
    return {
        "n": n,
        "document_name": version.document.name,
        "page_label": short_page_name(version.media_type, label),
        "heading": passage.heading,
        "before": _last_words(hit.before),
        "best": hit.best,
        "after": _first_words(hit.after),
        "url": page_url(version, passage.page, Cited(passage, hit.best_start, hit.best_end)),
        "label": version.document.label,
        "library_name": version.document.library.name if named else "",
    }


def _last_words(text: str) -> str:
    return text if len(text) <= AROUND_CHARS else "… " + text[-AROUND_CHARS:].partition(" ")[2]


def _first_words(text: str) -> str:
    return text if len(text) <= AROUND_CHARS else text[:AROUND_CHARS].rpartition(" ")[0] + " …"
