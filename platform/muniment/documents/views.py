"""Libraries: what is in work, what is there, and what is done with documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Page as Leaf
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from muniment.accounts.queries import names_of
from muniment.accounts.requests import scope_of_request, wants_part
from muniment.documents import queries, services
from muniment.documents.forms import KINDS, FindForm, LabelForm, MoveForm
from muniment.documents.models import Document
from muniment.documents.presentation import ACCEPT
from muniment.documents.progress import Progress, work
from muniment.documents.viewer import page_url
from muniment.jobs.streams import library_key, tail
from muniment.pages.errors import Invalid, NotFound
from muniment.scope import Scope
from muniment.tenancy.models import Library
from muniment.tenancy.queries import library_by_slug, readable_libraries, readers_of

ROWS = 50
MOST_AT_ONCE = 500


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The libraries of this person; who reads one only is taken there."""
    scope = scope_of_request(request)
    libraries = list(readable_libraries(scope))
    if len(libraries) == 1:
        return redirect("library", libraries[0].slug)
    counts = queries.document_counts(scope)
    rows = [
        {
            "name": library.name,
            "url": reverse("library", args=[library.slug]),
            "label": library.label,
            "documents": counts.get(library.id, 0),
            "contributes": library.id in scope.contributes,
        }
        for library in libraries
    ]
    return render(request, "documents/home.html", {"libraries": rows})


@require_GET
def library(request: HttpRequest, slug: str) -> HttpResponse:
    scope = scope_of_request(request)
    found = library_by_slug(scope, slug)
    counts = queries.counts(scope, found.id)
    key = library_key(scope.tenant, found.id)
    context = {
        "library": {
            "id": found.id,
            "name": found.name,
            "url": reverse("library", args=[slug]),
            "documents": counts.documents,
            "pages": counts.pages,
            "passages": counts.passages,
            "readers_text": _readers(found),
        },
        "upload": _upload(scope, found),
        "in_work": work(scope, found.id, lambda: Progress.of(tail(key))).shown_to(scope),
        "work_events_url": reverse("library-events", args=[slug]),
        "rows_url": reverse("library-rows", args=[slug]),
        **_rows(request, scope, found),
    }
    return render(request, "documents/library.html", context)


@require_GET
def rows(request: HttpRequest, slug: str) -> HttpResponse:
    """The table alone, for a filter, another page, or after something was published."""
    scope = scope_of_request(request)
    return render(request, "documents/_rows.html", _rows(request, scope, library_by_slug(scope, slug)))


def _upload(scope: Scope, library: Library) -> dict[str, Any] | None:
    if library.id not in scope.contributes:
        return None
    return {
        "create_url": reverse("uploads"),
        "accept": ACCEPT,
        "limit_bytes": settings.UPLOAD_LIMIT_BYTES,
    }


def _readers(library: Library) -> str:
    readers = readers_of(library)
    if readers.everyone:
        return _("read by everybody here")
    parts = []
    if readers.teams:
        parts.append(ngettext("%(n)d team", "%(n)d teams", readers.teams) % {"n": readers.teams})
    if readers.people:
        parts.append(ngettext("%(n)d person", "%(n)d people", readers.people) % {"n": readers.people})
    return _("read by %(who)s") % {"who": _(" and ").join(parts)} if parts else _("read by nobody")


def _rows(request: HttpRequest, scope: Scope, library: Library) -> dict[str, Any]:
    form = FindForm(scope, request.GET)
    chosen = form.cleaned_data if form.is_valid() else {}
    documents = _narrowed(queries.published_documents(scope, library.id), chosen)
    leaf = Paginator(documents, ROWS).get_page(request.GET.get("page"))
    paginator = cast("Paginator[dict[str, Any]]", leaf.paginator)
    shown = Leaf(_listed(scope, leaf.object_list), leaf.number, paginator)
    curates = library.id in scope.curates
    return {
        "filters": form,
        "filtered": any(chosen.values()),
        "documents": shown,
        "documents_url": reverse("library-documents", args=[library.slug]) if curates else "",
        "move_form": MoveForm(scope, library, auto_id="move_%s") if curates else None,
    }


def _narrowed(documents: QuerySet[Document], chosen: dict[str, Any]) -> QuerySet[Document]:
    if words := chosen.get("q"):
        for word in words.split():
            documents = documents.filter(Q(name__icontains=word) | Q(title__icontains=word))
    if label := chosen.get("label"):
        documents = documents.filter(label=label)
    if kind := chosen.get("kind"):
        documents = queries.with_endings(documents, KINDS[kind][1])
    return documents


def _listed(scope: Scope, documents: Iterable[Document]) -> list[dict[str, Any]]:
    shown = [(document, document.current) for document in documents if document.current]
    versions = queries.version_counts(document for document, _current in shown)
    names = names_of(scope, [current.added_by for _document, current in shown if current.added_by])
    return [
        {
            "id": document.id,
            "name": document.name,
            "url": page_url(current, 1),
            "version": current.number,
            "versions": versions[document.id],
            "label": document.label,
            "pages": current.page_count,
            "added": current.created_at,
            "added_by": names.get(current.added_by, "") if current.added_by else "",
        }
        for document, current in shown
    ]


@require_POST
def change_documents(request: HttpRequest, slug: str) -> HttpResponse:
    """Move or delete the chosen documents of a library: all of them or none."""
    scope = scope_of_request(request)
    found = library_by_slug(scope, slug)
    chosen = [_uuid(text) for text in request.POST.getlist("document")]
    if not chosen or len(chosen) > MOST_AT_ONCE:
        raise Invalid(_("Choose 1 to 500 documents."))
    action = request.POST.get("action")
    if action not in {"move", "delete"}:
        raise Invalid
    target = _uuid(request.POST.get("library", "")) if action == "move" else None
    with transaction.atomic():
        for document_id in chosen:
            if queries.document(scope, document_id).library_id != found.id:
                raise NotFound
            if target:
                services.move_document(scope, document_id, target)
            else:
                services.delete_document(scope, document_id)
    messages.success(request, _said(action, len(chosen)))
    return redirect("library", slug)


def _said(action: str, count: int) -> str:
    if action == "move":
        return ngettext("%(n)d document moved.", "%(n)d documents moved.", count) % {"n": count}
    return ngettext("%(n)d document deleted.", "%(n)d documents deleted.", count) % {"n": count}


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound from error


@require_GET
def document(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """A document under an address that outlives its versions."""
    found = queries.document(scope_of_request(request), document_id)
    if found.current is None:
        return redirect("library", found.library.slug)
    return redirect(page_url(found.current, 1))


@require_POST
def delete(request: HttpRequest, document_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    slug = queries.document(scope, document_id).library.slug
    services.delete_document(scope, document_id)
    return _done(request, slug, _said("delete", 1))


@require_POST
def move(request: HttpRequest, document_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    moved = services.move_document(scope, document_id, _uuid(request.POST.get("library", "")))
    return _done(request, moved.library.slug, _said("move", 1))


@require_POST
def relabel(request: HttpRequest, document_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    form = LabelForm(scope, request.POST)
    queries.document(scope, document_id)
    if not form.is_valid():
        raise Invalid(_("Choose a label up to your own clearance."))
    changed = services.set_label(scope, document_id, form.cleaned_data["label"])
    return _done(request, changed.library.slug, _("The label is changed."))


@require_POST
def retry(request: HttpRequest, version_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    version = services.retry(scope, version_id)
    return _done(request, version.document.library.slug)


@require_POST
def dismiss(request: HttpRequest, version_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    slug = queries.version(scope, version_id).document.library.slug
    services.dismiss(scope, version_id)
    return _done(request, slug)


def _done(request: HttpRequest, slug: str, said: str = "") -> HttpResponse:
    """Scripts learn that the table has changed; without them one is back in the library."""
    if wants_part(request):
        return HttpResponse(status=204, headers={"HX-Trigger": "documents-changed"})
    if said:
        messages.success(request, said)
    return redirect("library", slug)
