"""Pages about teams."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from muniment.accounts.queries import all_people
from muniment.accounts.requests import scope_of_request
from muniment.console.forms import MemberForm, TeamForm
from muniment.pages.errors import Conflict, Invalid
from muniment.tenancy.models import Level
from muniment.tenancy.queries import all_teams, team_to_administer
from muniment.tenancy.services import add_member, create_team, delete_team, remove_member


@require_GET
def teams(request: HttpRequest) -> HttpResponse:
    return _teams_page(request, TeamForm())


def _teams_page(request: HttpRequest, form: TeamForm, status: int = 200) -> HttpResponse:
    found = all_teams(scope_of_request(request)).annotate(
        people=Count("members", distinct=True), libraries=Count("grants", distinct=True)
    )
    rows = [
        {
            "name": team.name,
            "url": reverse("team", args=[team.id]),
            "people": team.people,
            "libraries": team.libraries,
        }
        for team in found
    ]
    context = {
        "teams": rows,
        "form": form,
        "form_open": bool(form.errors),
        "create_url": reverse("create-team"),
    }
    return render(request, "console/teams.html", context, status=status)


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    form = TeamForm(request.POST)
    if form.is_valid():
        try:
            team = create_team(scope_of_request(request), form.cleaned_data["name"])
            return redirect("team", team.id)
        except (Invalid, Conflict) as problem:
            form.add_error(None, str(problem.detail))
    return _teams_page(request, form, status=422)


@require_GET
def team(request: HttpRequest, team_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    found = team_to_administer(scope, team_id)
    members = list(found.members.order_by("name"))
    others = all_people(scope).filter(is_active=True).exclude(pk__in=[member.pk for member in members])
    grants = found.grants.filter(library__deleted_at=None).select_related("library").order_by("library__name")
    context = {
        "team": {"name": found.name},
        "teams_url": reverse("teams"),
        "members": [
            {
                "name": member.name,
                "username": member.username,
                "url": reverse("person", args=[member.id]),
                "remove_url": reverse("remove-member", args=[found.id, member.id]),
            }
            for member in members
        ],
        "libraries": [
            {
                "name": grant.library.name,
                "url": reverse("library-settings", args=[grant.library_id]),
                "grant_text": Level(grant.level).label,
            }
            for grant in grants
        ],
        "member_form": MemberForm(others),
        "add_url": reverse("add-member", args=[found.id]),
        "rename_form": None,
        "delete_url": reverse("delete-team", args=[found.id]),
    }
    return render(request, "console/team.html", context)


@require_POST
def delete(request: HttpRequest, team_id: UUID) -> HttpResponse:
    delete_team(scope_of_request(request), team_id)
    messages.success(request, _("The team is deleted, and what was granted to it is taken away."))
    return redirect("teams")


@require_POST
def add(request: HttpRequest, team_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    team_to_administer(scope, team_id)
    form = MemberForm(all_people(scope), request.POST)
    if form.is_valid():
        add_member(scope, team_id, form.cleaned_data["person"])
    else:
        messages.error(request, _("Choose a person from the list."))
    return redirect("team", team_id)


@require_POST
def remove(request: HttpRequest, team_id: UUID, person_id: UUID) -> HttpResponse:
    remove_member(scope_of_request(request), team_id, person_id)
    return redirect("team", team_id)
