"""A small organisation that several tests walk through, and the events it leaves behind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.test import Client

from muniment.accounts.models import Person
from muniment.audit.models import AuditEvent
from muniment.audit.queries import body_of
from muniment.scope import Role
from muniment.tenancy.models import Library, Tenant
from tests.factories import make_library, make_person, make_tenant


@dataclass
class House:
    """One tenant with a library: `reader` reads it, `clerk` adds to it, `curator` looks after it."""

    tenant: Tenant
    reader: Person
    clerk: Person
    curator: Person
    library: Library


def make_house() -> House:
    tenant = make_tenant()
    reader, clerk = make_person(tenant), make_person(tenant)
    curator = make_person(tenant, roles=[Role.CURATOR])
    library = make_library(tenant, readers=[reader], contributors=[clerk, curator])
    return House(tenant, reader, clerk, curator, library)


def signed_in(person: Person) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(person)
    return client


def events(action: str) -> list[dict[str, Any]]:
    """The bodies of an action's events, oldest first."""
    rows = AuditEvent.objects.filter(action=action).order_by("occurred_at", "event_id")
    return [body_of(row) for row in rows]


def seen(response: Any) -> tuple[int, str]:
    """What somebody who asks can tell answers apart by: the status and the body without its random token."""
    body = response.content.decode()
    body = re.sub(r'(csrfmiddlewaretoken" value=|csrf-token" content=)"\w+"', r"\1", body)
    return response.status_code, body
