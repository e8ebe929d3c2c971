"""Pages about libraries and who may use them. An administrator sees names and grants here, no documents."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from muniment.accounts.queries import all_people
from muniment.accounts.requests import scope_of_request
from muniment.console.forms import DeleteLibraryForm, GrantForm, LibraryForm
from muniment.console.queries import library_sizes
from muniment.documents.services import delete_library
from muniment.pages.errors import Conflict, Invalid
from muniment.scope import Scope
from muniment.tenancy.models import Grant, Level, Library
from muniment.tenancy.queries import all_libraries, all_teams, library_to_administer, tenant_of
from muniment.tenancy.services import (
    change_library,
    create_library,
    give_access,
    revoke_access,
    set_quotes_only,
)


@require_GET
def libraries(request: HttpRequest) -> HttpResponse:
    return _libraries_page(request, LibraryForm())


def _libraries_page(request: HttpRequest, form: LibraryForm, status: int = 200) -> HttpResponse:
    scope = scope_of_request(request)
    found = all_libraries(scope).annotate(teams=Count("grants__team", distinct=True))
    sizes = library_sizes(scope)
    rows = [
        {
            "name": library.name,
            "slug": library.slug,
            "label": library.label,
            "url": _documents_url(scope, library),
            "settings_url": reverse("library-settings", args=[library.id]),
            "documents": sizes.get(library.id, (0, 0))[0],
            "size": sizes.get(library.id, (0, 0))[1],
            "teams": library.teams,
        }
        for library in found
    ]
    context = {
        "libraries": rows,
        "form": form,
        "form_open": bool(form.errors),
        "create_url": reverse("create-library"),
        "quotes_only": tenant_of(scope).quotes_only,
        "answers_url": reverse("set-quotes-only"),
    }
    return render(request, "console/libraries.html", context, status=status)


def _documents_url(scope: Scope, library: Library) -> str:
    return reverse("library", args=[library.slug]) if library.id in scope.libraries else ""


@require_POST
def quotes_only(request: HttpRequest) -> HttpResponse:
    """How questions are answered in this organisation."""
    set_quotes_only(scope_of_request(request), request.POST.get("quotes_only") == "1")
    messages.success(request, _("Saved. It counts from the next question."))
    return redirect("libraries")


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    form = LibraryForm(request.POST)
    if form.is_valid():
        try:
            library = create_library(
                scope_of_request(request), form.cleaned_data["name"], form.cleaned_data["label"]
            )
            return redirect("library-settings", library.id)
        except (Invalid, Conflict) as problem:
            form.add_error(None, str(problem.detail))
    return _libraries_page(request, form, status=422)


@require_http_methods(["GET", "POST"])
def library(request: HttpRequest, library_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    found = library_to_administer(scope, library_id)
    if request.method == "GET":
        return _library_page(
            request, scope, found, LibraryForm(initial={"name": found.name, "label": found.label})
        )
    form = LibraryForm(request.POST)
    if form.is_valid():
        try:
            change_library(scope, library_id, form.cleaned_data["name"], form.cleaned_data["label"])
            messages.success(request, _("Saved."))
            return redirect("library-settings", library_id)
        except Invalid as problem:
            form.add_error(None, str(problem.detail))
    return _library_page(request, scope, found, form, status=422)


def _library_page(
    request: HttpRequest, scope: Scope, found: Library, form: LibraryForm, status: int = 200
) -> HttpResponse:
    grants = list(found.grants.select_related("team", "person").prefetch_related("team__members"))
    people = all_people(scope).filter(is_active=True)
    context = {
        "library": {
            "name": found.name,
            "slug": found.slug,
            "url": _documents_url(scope, found),
            "documents": library_sizes(scope).get(found.id, (0, 0))[0],
        },
        "libraries_url": reverse("libraries"),
        "grants": [_grant_row(grant) for grant in grants],
        "grant_form": GrantForm(all_teams(scope), people),
        "grant_url": reverse("give-access", args=[found.id]),
        "form": form,
        "readers": _readers(grants),
        "delete_url": reverse("delete-library", args=[found.id]),
        "delete_form": DeleteLibraryForm(),
    }
    return render(request, "console/library.html", context, status=status)


def _grant_row(grant: Grant) -> dict[str, str]:
    if grant.team is not None:
        who, kind = grant.team.name, _("team")
    elif grant.person is not None:
        who, kind = grant.person.name, _("person")
    else:
        who, kind = _("Everybody here"), ""
    return {
        "who": who,
        "kind": kind,
        "grant_text": str(Level(grant.level).label),
        "remove_url": reverse("revoke-access", args=[grant.id]),
    }


def _readers(grants: list[Grant]) -> list[dict[str, str]]:
    """Who can read the library and through what; labels still hide what is above a person's clearance."""
    readers = []
    for grant in grants:
        if grant.team is not None:
            why = _("through the team %(team)s") % {"team": grant.team.name}
            readers += [{"name": m.name, "why": why} for m in grant.team.members.all() if m.is_active]
        elif grant.person is None:
            readers.append({"name": _("Everybody here"), "why": _("granted to all")})
        elif grant.person.is_active:
            readers.append({"name": grant.person.name, "why": _("granted by name")})
    return sorted(readers, key=lambda reader: reader["name"])


@require_POST
def delete(request: HttpRequest, library_id: UUID) -> HttpResponse:
    """Only with the library's name typed, so that no slip of the hand removes a hundred documents."""
    scope = scope_of_request(request)
    found = library_to_administer(scope, library_id)
    form = DeleteLibraryForm(request.POST)
    if not form.is_valid() or form.cleaned_data["name"].strip() != found.name:
        messages.error(request, _("The name was not the library's, so nothing was deleted."))
        return redirect("library-settings", library_id)
    delete_library(scope, library_id)
    messages.success(request, _("The library is deleted."))
    return redirect("libraries")


@require_POST
def grant(request: HttpRequest, library_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    library_to_administer(scope, library_id)
    form = GrantForm(all_teams(scope), all_people(scope), request.POST)
    if form.is_valid():
        give_access(scope, library_id, form.cleaned_data["level"], **form.target())
    else:
        messages.error(request, _("Choose from the lists to whom and what."))
    return redirect("library-settings", library_id)


@require_POST
def revoke(request: HttpRequest, grant_id: UUID) -> HttpResponse:
    library_id = revoke_access(scope_of_request(request), grant_id)
    return redirect("library-settings", library_id)
