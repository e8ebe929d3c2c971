"""Signing in and out, one's own password, one's own page."""

from __future__ import annotations

from uuid import uuid4

from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from muniment.accounts.forms import ChangePasswordForm, SignInForm
from muniment.accounts.middleware import origin_of
from muniment.accounts.models import ROLES, Person
from muniment.accounts.requests import person_of_request, scope_of_request
from muniment.accounts.services import (
    change_own_password,
    check_credentials,
    record_signed_in,
    record_signed_out,
    scope_of_person,
)
from muniment.pages.errors import Invalid, TooMany
from muniment.scope import Role
from muniment.wall import within


@require_GET
def health(request: HttpRequest) -> HttpResponse:
    """For the supervisor and load balancers: that requests are served, and nothing else."""
    return JsonResponse({"status": "ok"})


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    if isinstance(request.user, Person):
        return redirect(_way_back(request.user, request.GET.get("next", "")))
    if request.method == "GET":
        form = SignInForm(initial={"next": request.GET.get("next", "")})
        return _sign_in_page(request, form, notice=_why_here(request))
    form = SignInForm(request.POST)
    if not form.is_valid():
        return _sign_in_page(request, form, status=422)
    try:
        person = check_credentials(
            form.cleaned_data["username"], form.cleaned_data["password"], origin_of(request)
        )
    except TooMany as problem:
        return _sign_in_page(request, form, notice=str(problem.detail), status=problem.status)
    if person is None:
        form.add_error(None, _("Name or password is not right. Try again, or ask your administrator."))
        return _sign_in_page(request, form, status=422)
    with within(person.tenant_id):
        _begin_session(request, person)
    return redirect(_way_back(person, form.cleaned_data["next"]))


def _sign_in_page(
    request: HttpRequest, form: SignInForm, notice: str = "", status: int = 200
) -> HttpResponse:
    return render(request, "accounts/sign_in.html", {"form": form, "notice": notice}, status=status)


def _why_here(request: HttpRequest) -> str:
    if request.GET.get("ended"):
        return _("Your session has ended. Sign in again to go on.")
    return _("Sign in to see that page.") if request.GET.get("next") else ""


def _begin_session(request: HttpRequest, person: Person) -> None:
    """The session and its event are written together; without the event nobody is signed in."""
    fresh = type(request.session)
    try:
        with transaction.atomic():
            login(request, person)
            # The trail names a session by this, never by the key that would open it.
            request.session["ref"] = str(uuid4())
            request.session.save()
            record_signed_in(scope_of_person(person, origin_of(request)))
    except Exception:
        # The middleware saves what is left in the session, so nothing may be left.
        request.session = fresh()
        raise


def _way_back(person: Person, wanted: str) -> str:
    """A path of this site that the person came from, else the first page for their role."""
    if wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None):
        return wanted
    return reverse("desk") if set(person.roles) == {Role.OFFICER} else "/"


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        record_signed_out(scope_of_request(request))
        logout(request)
    messages.info(request, _("You are signed out."))
    return redirect("sign-in")


@sensitive_post_parameters("old", "new", "again")
@require_http_methods(["GET", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    """This session goes on, all others of the person end."""
    scope = scope_of_request(request)
    forced = person_of_request(request).must_change_password
    form = ChangePasswordForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            with transaction.atomic():
                person = change_own_password(scope, form.cleaned_data["old"], form.cleaned_data["new"])
                update_session_auth_hash(request, person)
                request.session.save()
        except Invalid as problem:
            form.add_error(None, str(problem.detail))
        else:
            messages.success(request, _("Your password is changed."))
            return redirect(_way_back(person, "") if forced else "profile")
    status = 422 if form.errors else 200
    return render(request, "accounts/change_password.html", {"form": form, "forced": forced}, status=status)


@require_GET
def profile(request: HttpRequest) -> HttpResponse:
    person = person_of_request(request)
    titles = dict(ROLES)
    about = {
        "name": person.name,
        "username": person.username,
        "tenant": person.tenant.name,
        "roles": [titles[role] for role in person.roles],
        "teams": person.teams.order_by("name").values_list("name", flat=True),
        "clearance": person.clearance,
        "last_sign_in": person.last_login,
    }
    context = {"person": about, "change_password_url": reverse("change-password")}
    return render(request, "accounts/profile.html", context)
