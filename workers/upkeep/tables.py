"""What an installation's tables hold: which of them are its content, whose rows, and a hash of what they say.

SQLite and PostgreSQL write the same values differently; the hash is over what the application reads.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any, cast
from uuid import UUID

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Field, Model, QuerySet

from muniment.audit.services import SITE
from muniment.wall import EXEMPT, within

# Tables that belong to one machine and not to its people, and why nothing is lost without them.
STAYING = {
    "django_session": "all sign in again",
    "accounts_failedsignin": "kept for minutes, under a key of the machine",
    "documents_upload": "files on their way; whoever sends them begins again",
    "audit_pending": "a queue that the database fills again with the events",
    "registry_engine": "speeds of that machine; the site's engine is tried anew",
    "registry_check": "what was found on that machine",
    "registry_report": "about that machine",
    "django_migrations": "the schema",
    "django_content_type": "the schema",
    "auth_permission": "the schema",
    "auth_group": "not used",
    "auth_group_permissions": "not used",
}
# Rows in memory at a time: passages are a few kilobytes, pages with their words some tens.
BATCH = 200


@dataclass(frozen=True)
class Content:
    """How many rows a table has, and the SHA-256 of them in the order of their keys."""

    table: str
    rows: int
    sha256: str


@dataclass(frozen=True)
class Unfit:
    """A value that PostgreSQL would refuse, where SQLite takes anything."""

    row: Model
    field: str


def moving() -> list[type[Model]]:
    """The tables with content, each after those that its rows belong to."""
    found = [model for model in apps.get_models(include_auto_created=True) if table(model) not in STAYING]
    needs = {model: _owners(model) & set(found) for model in found}
    return list(TopologicalSorter(needs).static_order())


def table(model: type[Model]) -> str:
    return model._meta.db_table


def columns(model: type[Model]) -> list[Field[Any, Any]]:
    return list(model._meta.concrete_fields)


def _owners(model: type[Model]) -> set[type[Model]]:
    return {cast(type[Model], field.related_model) for field in _belongings(model)}


def _belongings(model: type[Model]) -> list[Field[Any, Any]]:
    """References without which a row cannot be."""
    return [field for field in columns(model) if field.is_relation and not field.null]


def _way_to_tenant(model: type[Model]) -> str:
    """How a row leads to its tenant; "" for a table of the whole installation."""
    if table(model) in EXEMPT:
        return ""
    if "tenant" in {field.name for field in columns(model)}:
        return "tenant"
    return f"{_belongings(model)[0].name}__tenant"


def tenants(alias: str) -> list[UUID]:
    """Whoever has a row, and the site itself, whose events belong to no tenant."""
    found = {SITE}
    for model in moving():
        if way := _way_to_tenant(model):
            found.update(everything(alias, model).values_list(way, flat=True).distinct())
    return sorted(found)


def everything(alias: str, model: type[Model]) -> QuerySet[Model]:
    return model._base_manager.using(alias)


def batches(alias: str, model: type[Model], whose: Iterable[UUID]) -> Iterator[list[Model]]:
    """All rows, tenant by tenant in the order of their keys, the wall open for the tenant of each batch."""
    if not (way := _way_to_tenant(model)):
        yield from _pages(everything(alias, model))
        return
    for tenant in whose:
        with within(tenant):
            yield from _pages(everything(alias, model).filter(**{way: tenant}))


def _pages(rows: QuerySet[Model]) -> Iterator[list[Model]]:
    """Piece by piece by key: a cursor of the server and the wall cannot go together."""
    rows = rows.order_by("pk")
    page = list(rows[:BATCH])
    while page:
        yield page
        page = list(rows.filter(pk__gt=page[-1].pk)[:BATCH])


def content(alias: str, model: type[Model], whose: Iterable[UUID]) -> Content:
    digest, count = hashlib.sha256(), 0
    for page in batches(alias, model, whose):
        for row in page:
            digest.update(_line(row))
        count += len(page)
    return Content(table(model), count, digest.hexdigest())


def _line(row: Model) -> bytes:
    values = [_plain(getattr(row, field.attname)) for field in columns(type(row))]
    return json.dumps(values, sort_keys=True).encode() + b"\n"


def _plain(value: Any) -> Any:
    """In a form that is the same from both databases. PostgreSQL keeps numbers in JSON by value, not as
    they were written: 1.0 may come back as 1."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) + 0.0
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value) if isinstance(value, UUID) else value


def unfit(alias: str, model: type[Model], whose: Iterable[UUID]) -> Iterator[Unfit]:
    """Text with a NUL or half a character, text that is too long, numbers out of range."""
    for page in batches(alias, model, whose):
        for row in page:
            for field in columns(model):
                if not _fits(field, getattr(row, field.attname)):
                    yield Unfit(row, field.name)


def _fits(field: Field[Any, Any], value: Any) -> bool:
    if not _is_text_everywhere(value):
        return False
    try:
        field.run_validators(value)
    except ValidationError:
        return False
    return True


def _is_text_everywhere(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_text_everywhere(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return all(_is_text_everywhere(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, str):
        return True
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates, which JSON can hold and UTF-8 cannot
        return False
    return "\0" not in value
