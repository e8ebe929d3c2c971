"""Requests of people who have signed in."""

from __future__ import annotations

from django.contrib.auth import get_user
from django.http import HttpRequest

from muniment.accounts.middleware import origin_of
from muniment.accounts.models import Person
from muniment.accounts.services import scope_of_person
from muniment.pages.errors import NotFound
from muniment.scope import Scope


def person_of_request(request: HttpRequest) -> Person:
    """Who asks, as a row; the middleware has turned away everybody else."""
    if not isinstance(request.user, Person):
        raise NotFound
    return request.user


def wants_part(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page."""
    return bool(getattr(request, "htmx", False))


def scope_of_request(request: HttpRequest) -> Scope:
    """The scope of who asks; the middleware has turned away everybody else."""
    scope = getattr(request, "scope_of_person", None)
    if not isinstance(scope, Scope):
        raise NotFound
    return scope


def scope_as_of_now(request: HttpRequest) -> Scope | None:
    """For requests that last: the scope read again, None once the person is out or the session has ended."""
    again = HttpRequest()
    again.session = type(request.session)(request.session.session_key)
    person = get_user(again)
    return scope_of_person(person, origin_of(request)) if isinstance(person, Person) else None
