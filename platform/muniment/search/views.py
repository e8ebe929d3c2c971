"""The page for finding passages without an answer. Its address says everything that is set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET

from muniment.accounts.requests import scope_of_request, wants_part
from muniment.documents import queries
from muniment.documents.models import Passage
from muniment.documents.presentation import short_page_name
from muniment.documents.viewer import Cited, page_url
from muniment.pages.errors import Unavailable
from muniment.scope import Scope
from muniment.search import services
from muniment.search.asked import DOCUMENTS, MOST_WORDS, OF_ONE, Asked, Narrowing, asked
from muniment.search.forms import SearchForm
from muniment.search.services import Found, Group, Results
from muniment.tenancy.queries import library_by_slug

# No search has more pages.
MOST_PAGES = 100


@require_GET
def search(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    if slug := request.GET.get("library", ""):
        library_by_slug(scope, slug)
    # Whatever is typed can be searched: forms would refuse this one sign.
    given = request.GET.copy()
    given["q"] = given.get("q", "").replace("\0", " ")
    form = SearchForm(scope, given)
    context: dict[str, Any] = {"form": form, "searched": None, "groups": []}
    status = 200
    if not form.is_valid():
        context["error"], status = str(next(iter(form.errors.values()))[0]), 422
    else:
        context |= _chips(request, scope, form)
        try:
            context |= _answer(request, scope, form)
        except Unavailable as problem:
            context["error"], status = _away(), problem.status
    if wants_part(request):
        # htmx puts in only what succeeds; the part says itself what went wrong.
        return render(request, "search/_results.html", context)
    return render(request, "search/search.html", context, status=status)


def _away() -> str:
    return _("The search does not answer right now. Your documents are safe; try again in a minute.")


def _answer(request: HttpRequest, scope: Scope, form: SearchForm) -> dict[str, Any]:
    typed = form.cleaned_data["q"]
    words = asked(typed)
    if not words.has_words:
        return {"wordless": bool(typed.strip())}
    begun = time.monotonic()
    narrowing = form.narrowing()
    found = services.search(scope, words, narrowing, _page(request))
    seconds = time.monotonic() - begun
    return {
        "searched": {
            "phrases": words.phrases,
            "passages": found.passages,
            "documents": found.documents,
            "seconds": seconds,
        },
        "notes": list(_notes(words, found)),
        "groups": _groups(request, found, narrowing),
        "leaf": _leaf(request, found, narrowing),
        "without_quotes": _address(request, q=words.text) if words.phrases else "",
    }


def _page(request: HttpRequest) -> int:
    page = request.GET.get("page", "")
    return min(max(int(page), 1), MOST_PAGES) if page.isdecimal() and len(page) < 6 else 1


def _leaf(request: HttpRequest, found: Results, narrowing: Narrowing) -> Any:
    many, at_once = (found.passages, OF_ONE) if narrowing.document else (found.documents, DOCUMENTS)
    return Paginator(range(many), at_once).get_page(_page(request))


def _notes(words: Asked, found: Results) -> Iterator[str]:
    """What whoever asked should know about how it was understood."""
    if words.cut:
        yield ngettext(
            "Only the beginning was looked for, %(n)d word at most.",
            "Only the beginning was looked for, %(n)d words at most.",
            MOST_WORDS,
        ) % {"n": MOST_WORDS}
    if words.operators:
        yield _(
            "Signs and words such as + - * AND OR NOT mean nothing special here. "
            "Put what must stand exactly so in quotation marks."
        )
    if not found.groups or words.phrases:
        return
    if not found.met:
        yield _("None of these words is in what you can read. This is what comes nearest by meaning.")
    elif found.common:
        yield _("These words stand in most passages. Add a rarer one: a name, a number, a subject.")


def _chips(request: HttpRequest, scope: Scope, form: SearchForm) -> dict[str, Any]:
    """What is set, each with the address of the same search without it."""
    chosen = form.cleaned_data
    names = {field: dict(form.fields[field].choices) for field in ("library", "kind", "label")}  # type: ignore[attr-defined]  # choice fields
    said = {field: str(names[field][chosen[field]]) for field in names if chosen[field] not in ("", None)}
    if chosen["since"]:
        said["since"] = _("from %(day)s") % {"day": date_format(chosen["since"], "j M Y")}
    if chosen["until"]:
        said["until"] = _("to %(day)s") % {"day": date_format(chosen["until"], "j M Y")}
    if chosen["document"]:
        said["document"] = queries.document(scope, chosen["document"]).name
    chips = [{"text": text, "url": _address(request, **{field: ""})} for field, text in said.items()]
    return {"chips": chips, "all_url": _address(request, **dict.fromkeys(said, "")) if len(said) > 1 else ""}


def _address(request: HttpRequest, **changes: str) -> str:
    """This search with some fields changed, from its first page."""
    parameters = request.GET.copy()
    for field, value in {"page": "", **changes}.items():
        parameters[field] = value
        if not value:
            del parameters[field]
    return f"{reverse('search')}?{parameters.urlencode()}"


def _groups(request: HttpRequest, found: Results, narrowing: Narrowing) -> list[dict[str, Any]]:
    shown = [one for group in found.groups for one in group.passages]
    labels = queries.page_labels(passage for one in shown for passage in (one.passage, *one.alike))
    return [_group(request, group, narrowing, labels) for group in found.groups]


def _group(
    request: HttpRequest, group: Group, narrowing: Narrowing, labels: dict[UUID, str]
) -> dict[str, Any]:
    document = group.document
    return {
        "name": document.name,
        "title": document.title if document.title != document.name else "",
        "label": document.label,
        "library": "" if narrowing.libraries else document.library.name,
        "published": group.passages[0].passage.version.published_at,
        "passages": [_card(one, labels) for one in group.passages],
        "more": group.more,
        "more_url": _address(request, document=str(document.id)) if group.more else "",
    }


def _card(found: Found, labels: dict[UUID, str]) -> dict[str, Any]:
    passage, version = found.passage, found.passage.version
    return {
        "page_label": short_page_name(version.media_type, labels[passage.id]),
        "heading": passage.heading,
        "snippet": found.snippet(),
        "url": page_url(version, passage.page, Cited(passage, *found.best)),
        "alike": [_place(other, labels[other.id]) for other in found.alike],
    }


def _place(passage: Passage, label: str) -> dict[str, str]:
    """Where a passage that says the same stands."""
    version = passage.version
    return {
        "name": version.document.name,
        "page_label": short_page_name(version.media_type, label),
        "url": page_url(version, passage.page, Cited(passage)),
    }
