"""Streams that last: looked up together they see what each would alone, and hear of a change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError, connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext

from muniment.accounts import watching
from muniment.accounts.middleware import SCOPE
from muniment.accounts.models import Person
from muniment.accounts.requests import scope_as_of_now
from muniment.accounts.watching import scopes, watched
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
    keys = [request.session.session_key or "" for request in requests]
    found = scopes({key: person.tenant_id for key, person in zip(keys, people, strict=True)})
    return [found.get(key) for key in keys]


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


def follow(person: Person, happens: Callable[[], object]) -> list[Scope | None]:
    """What the person of a stream may see when it begins, and after something has happened."""
    request = request_of(signed_in(person))
    setattr(request, SCOPE, scope_as_of_now(request))

    async def read() -> list[Scope | None]:
        with watched(request) as sight:
            begun, change = sight.scope, sight.change
            await sync_to_async(happens)()
            await asyncio.wait({change}, timeout=5)
            return [begun, sight.scope]

    return async_to_sync(read)()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 0.05)


@pytest.mark.usefixtures("often")
def test_a_stream_hears_of_a_grant_and_keeps_where_it_came_from(people: list[Person]) -> None:
    library = make_library(people[0].tenant, "New")
    before, after = follow(people[0], lambda: Grant.objects.create(library=library, level=Level.READ))
    assert before
    assert after == replace(before, libraries=before.libraries | {library.id})


@pytest.mark.usefixtures("often")
def test_a_stream_hears_that_its_person_is_out(people: list[Person]) -> None:
    out = Person.objects.filter(pk=people[0].pk)
    assert follow(people[0], lambda: out.update(is_active=False))[1] is None


@pytest.mark.usefixtures("often")
def test_a_stream_hears_that_nobody_could_look(people: list[Person], monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends and its browser comes back; the person is not told that they are out."""

    def gone(_sessions: object) -> None:
        raise OperationalError

    with pytest.raises(OperationalError):
        follow(people[0], lambda: monkeypatch.setattr(watching, "scopes", gone))


@pytest.mark.usefixtures("often")
def test_nothing_is_looked_up_once_no_stream_is_open(people: list[Person]) -> None:
    request = request_of(signed_in(people[0]))
    setattr(request, SCOPE, scope_as_of_now(request))

    async def read() -> int:
        with watched(request), watched(request):
            pass
        await asyncio.sleep(0.2)
        return len(asyncio.all_tasks()) - 1

    with CaptureQueriesContext(connection) as seen:
        assert async_to_sync(read)() == 0
    assert not len(seen)
