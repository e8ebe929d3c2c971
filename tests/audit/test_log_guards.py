"""The sealed log is kept as events are: the database refuses to change, remove or replace a row of it."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction

from muniment.audit import actions
from muniment.audit.models import AuditCheckpoint, AuditEvent, AuditKey, AuditLeaf, AuditPending
from muniment.audit.services import record, record_alone
from tests.audit.test_event import a_scope

CHANGES = {
    "update": "UPDATE {table} SET {column} = {column}",
    "delete": "DELETE FROM {table}",
    "upsert": (
        "INSERT INTO {table} SELECT * FROM {table} WHERE true "
        "ON CONFLICT ({key}) DO UPDATE SET {column} = {table}.{column}"
    ),
}
ON_ONE = {
    "sqlite": {
        "replace": "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
        "update or replace": "UPDATE OR REPLACE {table} SET {column} = {column}",
    },
    "postgresql": {
        "truncate": "TRUNCATE {table}",
        "delete as a replica": "SET LOCAL session_replication_role = replica; DELETE FROM {table}",
    },
}[connection.vendor]
TABLES = {
    "audit_leaf": ("event", "number"),
    "audit_checkpoint": ("id", "note"),
    "audit_key": ("key", "made_at"),
    "audit_pending": ("id", "tenant"),
}


@pytest.fixture
def log(db: None) -> UUID:
    """A row in each table, and an event that waits; gives its id."""
    now = datetime.now(UTC)
    tenant = uuid4()
    AuditLeaf.objects.create(event=uuid4(), tenant=tenant, number=0, leaf_hash=b"x" * 32)
    AuditCheckpoint.objects.create(id=uuid4(), tenant=tenant, size=1, note="note", frontier=b"", made_at=now)
    AuditKey.objects.create(key="name+id+key", made_at=now)
    return record_alone(a_scope(), actions.SEARCHED)


@pytest.mark.parametrize("change", {**CHANGES, **ON_ONE})
@pytest.mark.parametrize("table", TABLES)
def test_the_database_refuses(log: UUID, table: str, change: str) -> None:
    key, column = TABLES[table]
    statement = {**CHANGES, **ON_ONE}[change].format(table=table, key=key, column=column)
    refused = pytest.raises(IntegrityError, match="append-only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_two_leaves_of_one_number_or_roots_of_one_size_cannot_be(log: UUID) -> None:
    leaf, checkpoint = AuditLeaf.objects.get(), AuditCheckpoint.objects.get()
    leaf.pk, checkpoint.pk = uuid4(), uuid4()
    for again in (leaf, checkpoint):
        with pytest.raises(IntegrityError), transaction.atomic():
            again.save(force_insert=True)
    if connection.vendor == "sqlite":
        replace = "INSERT OR REPLACE INTO audit_leaf SELECT %s, tenant, number, x'00' FROM audit_leaf"
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(replace, [uuid4().hex])


def test_every_event_waits_for_its_seal(log: UUID) -> None:
    waiting = AuditPending.objects.get()
    assert (waiting.event, waiting.tenant) == (log, AuditEvent.objects.get().tenant)


def test_a_place_in_the_queue_goes_once_there_is_a_leaf(log: UUID) -> None:
    waiting = AuditPending.objects.get()
    AuditLeaf.objects.create(event=log, tenant=waiting.tenant, number=0, leaf_hash=b"x" * 32)
    assert AuditPending.objects.filter(pk=waiting.pk).delete()[0] == 1


def test_an_event_that_is_taken_back_waits_for_nothing(db: None) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        record(a_scope(), actions.SEARCHED)
        raise RuntimeError
    assert not AuditPending.objects.exists()


def test_events_from_before_the_log_are_queued_in_the_order_of_their_times(db: None) -> None:
    ids = [record_alone(a_scope(), actions.SEARCHED) for _n in range(5)]
    migration = import_module("muniment.audit.migrations.0007_queue_old_events")
    with connection.cursor() as cursor:
        migration.queue(apps, SimpleNamespace(connection=connection, execute=cursor.execute))
    assert [row.event for row in AuditPending.objects.order_by("id")] == [*ids, *ids]
