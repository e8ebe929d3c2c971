"""Pages about people."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from muniment.accounts.models import ROLES, Person
from muniment.accounts.queries import all_people, person_to_administer
from muniment.accounts.requests import scope_of_request
from muniment.accounts.services import create_person, reset_password, set_active, set_roles
from muniment.console.forms import PersonForm, RightsForm
from muniment.pages.errors import Conflict, Invalid
from muniment.scope import Scope

PAGE = 50


@require_GET
def people(request: HttpRequest) -> HttpResponse:
    return _people_page(request, PersonForm(scope_of_request(request)))


def _people_page(request: HttpRequest, form: PersonForm, status: int = 200) -> HttpResponse:
    q = request.GET.get("q", "").strip()[:120]
    found = all_people(scope_of_request(request)).prefetch_related("teams")
    if q:
        found = found.filter(Q(name__icontains=q) | Q(username__icontains=q))
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "people": [_row(person) for person in page],
        "page": page,
        "q": q,
        "form": form,
        "form_open": bool(form.errors),
        "create_url": reverse("create-person"),
    }
    return render(request, "console/people.html", context, status=status)


def _row(person: Person) -> dict[str, object]:
    titles = dict(ROLES)
    return {
        "id": person.id,
        "name": person.name,
        "username": person.username,
        "url": reverse("person", args=[person.id]),
        "roles": [titles[role] for role in person.roles],
        "teams": sorted(team.name for team in person.teams.all()),
        "clearance": person.clearance,
        "last_sign_in": person.last_login,
        "active": person.is_active,
        "created": person.created_at,
    }


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """Answers with the person's page, which shows the password once: it is kept nowhere."""
    scope = scope_of_request(request)
    form = PersonForm(scope, request.POST)
    if form.is_valid():
        data = form.cleaned_data
        try:
            made, password = create_person(
                scope, data["username"], data["name"], data["roles"], data["clearance"]
            )
            return _person_page(request, scope, made.id, password=password)
        except (Invalid, Conflict) as problem:
            form.add_error(None, str(problem.detail))
    return _people_page(request, form, status=422)


@require_http_methods(["GET", "POST"])
def person(request: HttpRequest, person_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    if request.method == "GET":
        return _person_page(request, scope, person_id)
    person_to_administer(scope, person_id)
    form = RightsForm(scope, request.POST)
    if form.is_valid():
        try:
            set_roles(scope, person_id, form.cleaned_data["roles"], form.cleaned_data["clearance"])
        except Invalid as problem:
            form.add_error(None, str(problem.detail))
        else:
            messages.success(request, _("Saved. It takes effect at once."))
            return redirect("person", person_id)
    return _person_page(request, scope, person_id, form=form, status=422)


def _person_page(
    request: HttpRequest,
    scope: Scope,
    person_id: UUID,
    form: RightsForm | None = None,
    password: str = "",
    status: int = 200,
) -> HttpResponse:
    found = person_to_administer(scope, person_id)
    own = found.id == scope.person

    def action(name: str, allowed: bool = True) -> str:
        return reverse(name, args=[found.id]) if allowed and not own else ""

    context = {
        "person": _row(found),
        "people_url": reverse("people"),
        "form": None
        if own
        else form or RightsForm(scope, initial={"roles": found.roles, "clearance": found.clearance}),
        "one_time_password": password,
        "reset_url": action("reset-password"),
        "deactivate_url": action("deactivate-person", found.is_active),
        "activate_url": action("activate-person", not found.is_active),
    }
    return render(request, "console/person.html", context, status=status)


@require_POST
def reset(request: HttpRequest, person_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    password = reset_password(scope, person_id)
    return _person_page(request, scope, person_id, password=password)


@require_POST
def deactivate(request: HttpRequest, person_id: UUID) -> HttpResponse:
    set_active(scope_of_request(request), person_id, active=False)
    return redirect("person", person_id)


@require_POST
def activate(request: HttpRequest, person_id: UUID) -> HttpResponse:
    set_active(scope_of_request(request), person_id, active=True)
    return redirect("person", person_id)
