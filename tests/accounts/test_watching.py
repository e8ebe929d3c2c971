"""Many streams asked together get the same answers as each asked by itself."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from muniment.accounts.models import Person
from muniment.accounts.requests import scope_as_of_now
from muniment.accounts.watching import scope_by_now
from muniment.scope import Origin, Scope
from muniment.tenancy.models import Grant, Level, Team
from tests.factories import make_library, make_person, make_tenant
from tests.house import signed_in

pytestmark = pytest.mark.django_db


def request_of(client: Client) -> HttpRequest:
    request = HttpRequest()
    request.session = SessionStore(client.cookies["muniment"].value)
    request.user = get_user(request)
    return request


def together(requests: list[HttpRequest], people: list[Person]) -> list[Scope | None]:
    async def ask() -> list[Any]:
        asked = (
            scope_by_now(request, person.tenant_id) for request, person in zip(requests, people, strict=True)
        )
        return await asyncio.gather(*asked)

    return async_to_sync(ask)()


def bare(scope: Scope | None) -> Scope | None:
    return replace(scope, origin=Origin()) if scope else None


@pytest.fixture
def people() -> list[Person]:
    """Of two tenants, with grants of their own, of a team, of everybody, and of one library twice."""
    found = []
    for tenant in (make_tenant(), make_tenant()):
        some = [make_person(tenant) for _n in range(4)]
        make_library(tenant, "Own", readers=some[:1])
        both = make_library(tenant, "Both", readers=some[:2], contributors=some[2:3])
        team = Team.objects.create(tenant=tenant, name="Team")
        team.members.add(some[0], some[2])
        Grant.objects.create(library=both, team=team, level=Level.CONTRIBUTE)
        Grant.objects.create(library=make_library(tenant, "All"), level=Level.READ)
        found += some
    return found


def test_all_together_see_what_each_would_alone(people: list[Person]) -> None:
    requests = [request_of(signed_in(person)) for person in people]
    alone = [bare(scope_as_of_now(request)) for request in requests]
    assert [bare(scope) for scope in together(requests, people)] == alone
    assert all(alone)


def test_who_is_out_may_not_go_on(people: list[Person]) -> None:
    clients = [signed_in(person) for person in people[:4]]
    requests = [request_of(client) for client in clients]
    clients[0].logout()
    Person.objects.filter(pk=people[1].pk).update(is_active=False)
    people[2].set_password("another one, and long enough")
    people[2].save()
    found = together(requests, people[:4])
    assert found[:3] == [None, None, None]
    assert found[3]


def test_a_session_of_another_tenant_is_nobody(people: list[Person]) -> None:
    request = request_of(signed_in(people[0]))
    assert together([request], [people[-1]]) == [None]


def test_many_take_as_many_queries_as_few(people: list[Person]) -> None:
    requests = [request_of(signed_in(person)) for person in people[:4]]
    counts = []
    for many in (1, 4):
        with CaptureQueriesContext(connection) as seen:
            together(requests[:many], people[:many])
        counts.append(len(seen))
    assert counts[0] == counts[1] > 0
