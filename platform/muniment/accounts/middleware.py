"""Who asks: the person's `Scope`, made once a request."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

from muniment.accounts.errors import OwnPasswordFirst, SignedOut
from muniment.accounts.models import Person
from muniment.accounts.problems import answer, wants_json
from muniment.accounts.services import scope_of_person
from muniment.pages.errors import Problem
from muniment.scope import Origin
from muniment.wall import within

SCOPE = "scope_of_person"
OPEN_TO_ALL = frozenset({"sign-in", "health"})
OPEN_WITH_ONE_TIME_PASSWORD = frozenset({"sign-in", "sign-out", "change-password", "health"})


class ScopeOfPerson:
    """Sets `request.scope_of_person`, None for nobody; sends nobody to the sign-in page.

    A person with a one-time password goes no further than choosing one of their own.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with within(self._find_scope(request)):
            return self.get_response(request)

    def _find_scope(self, request: HttpRequest) -> UUID | None:
        person = request.user
        scope = scope_of_person(person, origin_of(request)) if isinstance(person, Person) else None
        setattr(request, SCOPE, scope)
        return scope.tenant if scope else None

    def process_view(
        self, request: HttpRequest, view: object, args: object, kwargs: object
    ) -> HttpResponseBase | None:
        name = request.resolver_match.view_name if request.resolver_match else ""
        person = request.user
        if not isinstance(person, Person):
            return None if name in OPEN_TO_ALL else _send_to(request, _sign_in_url(request), SignedOut())
        if person.must_change_password and name not in OPEN_WITH_ONE_TIME_PASSWORD:
            return _send_to(request, reverse("change-password"), OwnPasswordFirst())
        return None


def _send_to(request: HttpRequest, url: str, problem: Problem) -> HttpResponseBase:
    """Redirect a page; a script cannot follow to a form, so it is told what the matter is."""
    if not getattr(request, "htmx", False) and not wants_json(request):
        return redirect(url)
    response = answer(request, problem)
    response.headers["HX-Redirect"] = url
    return response


def _sign_in_url(request: HttpRequest) -> str:
    """The sign-in page, and the way back to what was looked at; a form that was sent is not sent again."""
    if getattr(request, "htmx", False):
        back = request.htmx.current_url_abs_path or ""  # type: ignore[attr-defined]  # set by django-htmx
    else:
        back = request.get_full_path() if request.method == "GET" and not wants_json(request) else ""
    query = {"next": back} if back not in {"", "/"} else {}
    # The answer takes the dead cookie away, so the sign-in page could not tell any more.
    if settings.SESSION_COOKIE_NAME in request.COOKIES:
        query["ended"] = "1"
    return reverse("sign-in") + (f"?{urlencode(query)}" if query else "")


def origin_of(request: HttpRequest) -> Origin:
    """Where a request came from. A forwarded address counts only from the proxy that the site names."""
    peer = request.META.get("REMOTE_ADDR", "")
    trusted = bool(settings.TRUSTED_PROXY) and peer == settings.TRUSTED_PROXY
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-1].strip() if trusted else ""
    return Origin(
        kind="person",
        auth_method="password",
        session_ref=request.session.get("ref", "") if hasattr(request, "session") else "",
        request_id=getattr(request, "request_id", ""),
        ip=(forwarded or peer)[:45],
        trusted_proxy=trusted,
    )
