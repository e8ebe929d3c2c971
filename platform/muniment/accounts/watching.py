"""Who may still go on, for streams that last: all that ask within a moment are looked up together.

Each open stream asks about once a second. Together they take six queries, however many they are.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, Future, Task
from collections.abc import Collection, Mapping
from contextvars import Context
from dataclasses import dataclass, field, replace
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

from muniment.accounts.middleware import origin_of
from muniment.accounts.models import Person
from muniment.database import release_connections
from muniment.scope import Scope
from muniment.tenancy.queries import grants_of_many
from muniment.tenancy.services import scope_with
from muniment.wall import within

# How long the first of those that are looked up together waits for the others.
GATHER_SECONDS = 0.2

Found = Mapping[str, Scope]


@dataclass
class _Gathering:
    """Sessions that are about to be looked up, each with its tenant."""

    found: Future[Found]
    sessions: dict[str, UUID] = field(default_factory=dict)
    task: Task[None] | None = None


_gatherings: WeakKeyDictionary[AbstractEventLoop, _Gathering] = WeakKeyDictionary()


async def scope_by_now(request: HttpRequest, tenant: UUID) -> Scope | None:
    """`scope_as_of_now` for a stream of this tenant, looked up together with others."""
    loop = asyncio.get_running_loop()
    gathering = _gatherings.get(loop)
    if gathering is None:
        gathering = _gatherings[loop] = _Gathering(loop.create_future())
        # In a context of its own, with another thread than the first request's, which may end before.
        gathering.task = loop.create_task(_look(loop, gathering), context=Context())
    key = request.session.session_key or ""
    gathering.sessions[key] = tenant
    scope = (await asyncio.shield(gathering.found)).get(key)
    return replace(scope, origin=origin_of(request)) if scope else None


async def _look(loop: AbstractEventLoop, gathering: _Gathering) -> None:
    await asyncio.sleep(GATHER_SECONDS)
    del _gatherings[loop]
    try:
        found = await sync_to_async(_scopes)(gathering.sessions)
    except Exception as error:  # each stream meets it as if it had asked by itself
        gathering.found.set_exception(error)
    else:
        gathering.found.set_result(found)


def _scopes(sessions: Mapping[str, UUID]) -> Found:
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
