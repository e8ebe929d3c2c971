"""Who may still look, for streams that last: once a second all of a process are looked up together.

Together they take six queries, however many they are. A stream waits and hears of a change.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from dataclasses import replace
from functools import lru_cache
from uuid import UUID
from weakref import WeakKeyDictionary

from asgiref.sync import sync_to_async
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from muniment.accounts.models import Person
from muniment.accounts.requests import scope_of_request
from muniment.database import release_connections
from muniment.scope import Scope
from muniment.tenancy.queries import grants_of_many
from muniment.tenancy.services import scope_with
from muniment.wall import within

LOOK_SECONDS = 1.0

Found = Mapping[str, Scope]


class Sight:
    """What the person of one stream may see by now."""

    def __init__(self, request: HttpRequest) -> None:
        self.session = request.session.session_key or ""
        self._scope: Scope | None = scope_of_request(request)
        self.tenant = self._scope.tenant
        self._trouble: Exception | None = None
        self._loop = asyncio.get_running_loop()
        # Ends at the next change; then there is another one.
        self.change: Future[None] = self._loop.create_future()

    @property
    def scope(self) -> Scope | None:
        """None once the person is out or the session has ended. Raises what the last look has met."""
        if self._trouble:
            raise self._trouble
        return self._scope

    def see(self, found: Scope | None) -> None:
        if found and self._scope:
            found = replace(found, origin=self._scope.origin)
        if found != self._scope:
            self._scope = found
            self._tell()

    def fail(self, trouble: Exception) -> None:
        self._trouble = trouble
        self._tell()

    def _tell(self) -> None:
        self.change.set_result(None)
        self.change = self._loop.create_future()


class _Sights:
    """Those of an event loop, and the task that looks."""

    def __init__(self) -> None:
        self.open: set[Sight] = set()
        # In a context of its own, with another thread than the first request's, which may end before.
        self.task: Task[None] = asyncio.get_running_loop().create_task(self._look(), context=Context())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            asked = {sight.session: sight.tenant for sight in self.open}
            try:
                found = await sync_to_async(scopes)(asked)
            except Exception as trouble:  # each stream meets it as if it had asked by itself
                for sight in self.open:
                    sight.fail(trouble)
            else:
                for sight in self.open:
                    # Who came meanwhile was not asked for.
                    if sight.session in asked:
                        sight.see(found.get(sight.session))


_sights: WeakKeyDictionary[AbstractEventLoop, _Sights] = WeakKeyDictionary()


@contextmanager
def watched(request: HttpRequest) -> Iterator[Sight]:
    """Within an event loop: what the person who asks may see, kept up to date."""
    loop = asyncio.get_running_loop()
    sights = _sights.get(loop)
    if sights is None:
        sights = _sights[loop] = _Sights()
    sight = Sight(request)
    sights.open.add(sight)
    try:
        yield sight
    finally:
        sights.open.discard(sight)
        if not sights.open and _sights.get(loop) is sights:
            del _sights[loop]
            sights.task.cancel()


def scopes(sessions: Mapping[str, UUID]) -> Found:
    """By session, each with the tenant of its stream: the scopes of those who may still look."""
    try:
        found: dict[str, Scope] = {}
        for tenant in set(sessions.values()):
            found |= _of_tenant(tenant, [key for key, of in sessions.items() if of == tenant])
        return found
    finally:
        release_connections()


def _of_tenant(tenant: UUID, keys: Collection[str]) -> Found:
    signed_in = _signed_in(keys)
    with within(tenant):
        ids = [who for who, _proof in signed_in.values()]
        rows = Person.objects.filter(tenant=tenant, is_active=True, pk__in=ids)
        people = {str(person.pk): person for person in rows}
        grants = grants_of_many(tenant, [person.pk for person in people.values()])
    found = {}
    for key, (who, proof) in signed_in.items():
        person = people.get(who)
        if person and constant_time_compare(proof, person.get_session_auth_hash()):
            given = grants[person.pk]
            found[key] = scope_with(given, tenant, person.pk, person.roles, person.clearance)
    return found


def _signed_in(keys: Collection[str]) -> dict[str, tuple[str, str]]:
    """Whose session each is, and its proof that the password is still the same."""
    rows = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    opened = {row.session_key: _opened(row.session_data) for row in rows}
    return {key: who for key, who in opened.items() if who}


@lru_cache(maxsize=10_000)
def _opened(signed: str) -> tuple[str, str] | None:
    """Of a session's signed data, which stay the same for as long as the session: who, and the proof."""
    data = SessionStore().decode(signed)
    return (str(data[SESSION_KEY]), str(data.get(HASH_SESSION_KEY, ""))) if SESSION_KEY in data else None
