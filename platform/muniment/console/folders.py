"""Pages about folders that libraries follow. An administrator sees paths and what is wrong, no documents."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from muniment.accounts.requests import scope_of_request
from muniment.console.forms import ConfirmForm, FolderForm
from muniment.folders import queries, services
from muniment.folders.messages import of_file, of_folder
from muniment.folders.models import Folder, FolderState
from muniment.folders.roots import roots
from muniment.pages.errors import Conflict, Invalid
from muniment.pages.templatetags.muniment_pages import thousands
from muniment.scope import Scope
from muniment.tenancy.queries import all_libraries

TROUBLES_A_PAGE = 50
# Looks are a minute apart, and one that takes much takes most of a minute.
LATE = timedelta(minutes=5)


@require_GET
def folders(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    return _folders_page(request, scope, FolderForm(all_libraries(scope)))


def _folders_page(request: HttpRequest, scope: Scope, form: FolderForm, status: int = 200) -> HttpResponse:
    found = list(queries.folders(scope))
    wrong = queries.trouble_counts(scope, found)
    allowed = roots(scope)
    context = {
        "folders": [_row(folder, wrong.get(folder.id, 0)) for folder in found],
        "roots": allowed,
        "setting": "MUNIMENT_WATCH_ROOTS",
        "form": form,
        "form_open": bool(form.errors),
        "map_url": reverse("map-folder") if allowed else "",
    }
    return render(request, "console/folders.html", context, status=status)


def _row(folder: Folder, wrong: int) -> dict[str, Any]:
    state, tone = _state(folder)
    return {
        "path": folder.path,
        "url": reverse("folder", args=[folder.id]),
        "library": folder.library.name,
        "label": folder.label,
        "state": state,
        "tone": tone,
        "sentence": of_folder(folder.trouble),
        "files": folder.files,
        "waiting": folder.waiting,
        "wrong": wrong,
        "looked_at": folder.looked_at,
    }


def _state(folder: Folder) -> tuple[str, str]:
    """A word for the pill, and its tone."""
    if folder.state == FolderState.STOPPED or folder.trouble:
        return _("needs you") if folder.missing else _("away"), "bad"
    if folder.state == FolderState.PAUSED:
        return _("paused"), "weak"
    tried = folder.tried_at or folder.created_at
    if timezone.now() - tried > LATE:
        return _("no answer"), "bad"
    return (_("followed"), "good") if folder.looked_at else (_("first look"), "")


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    form = FolderForm(all_libraries(scope), request.POST)
    if form.is_valid():
        given = form.cleaned_data
        try:
            folder = services.map_folder(scope, given["library"], given["path"], given["label"])
            messages.success(request, _("The folder is mapped. The first look is within a minute."))
            return redirect("folder", folder.id)
        except (Invalid, Conflict) as problem:
            form.add_error("path", str(problem.detail))
    return _folders_page(request, scope, form, status=422)


@require_GET
def folder(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    found = queries.folder(scope, folder_id)
    troubles = queries.troubled(scope, found)
    page = Paginator(troubles, TROUBLES_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "folder": _row(found, page.paginator.count),
        "folders_url": reverse("folders"),
        "page": page,
        "troubles": [_trouble(path, why) for path, why in page],
        "missing": found.missing,
        "pause_url": _url("pause-folder", found) if found.state == FolderState.FOLLOWED else "",
        "resume_url": _url("resume-folder", found) if found.state != FolderState.FOLLOWED else "",
        "confirm_url": _url("confirm-folder", found) if found.missing else "",
        "confirm_form": ConfirmForm(initial={"missing": found.missing}),
        "confirm_text": _gone(found.missing),
        "unmap_url": _url("unmap-folder", found),
    }
    return render(request, "console/folder.html", context)


def _url(name: str, folder: Folder) -> str:
    return reverse(name, args=[folder.id])


def _trouble(path: str, why: str) -> dict[str, Any]:
    said = of_file(why)
    return {"path": path, "title": said.title, "text": said.text}


def _gone(missing: int) -> str:
    return ngettext(
        "%(n)s file is gone from the folder. Its document disappears from search and answers.",
        "%(n)s files are gone from the folder. Their documents disappear from search and answers.",
        missing,
    ) % {"n": thousands(missing)}


@require_POST
def pause(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    services.pause(scope_of_request(request), folder_id)
    return redirect("folder", folder_id)


@require_POST
def resume(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    services.resume(scope_of_request(request), folder_id)
    return redirect("folder", folder_id)


@require_POST
def confirm(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    form = ConfirmForm(request.POST)
    # Where no number came, none is confirmed: whether this person may at all is told first.
    missing = form.cleaned_data["missing"] if form.is_valid() else 0
    try:
        services.confirm(scope_of_request(request), folder_id, missing)
        messages.success(request, _("Confirmed. The next look, within a minute, deletes their documents."))
    except Conflict as problem:
        messages.error(request, str(problem.detail))
    return redirect("folder", folder_id)


@require_POST
def unmap(request: HttpRequest, folder_id: UUID) -> HttpResponse:
    services.unmap(scope_of_request(request), folder_id)
    messages.success(request, _("The folder is followed no more. Its documents stay in the library."))
    return redirect("folders")
