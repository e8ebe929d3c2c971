"""The database itself keeps events as they are."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from muniment.audit import actions
from muniment.audit.models import AuditEvent
from muniment.audit.queries import guards_missing
from muniment.audit.services import record_alone
from tests.audit.test_event import a_scope
from tests.triggers import drop_trigger, guards

EVERYWHERE = {
    "update": "UPDATE audit_event SET outcome = 'denied'",
    "update of nothing new": "UPDATE audit_event SET body = body",
    "delete": "DELETE FROM audit_event",
    "upsert": (
        "INSERT INTO audit_event SELECT * FROM audit_event WHERE true "
        "ON CONFLICT (event_id) DO UPDATE SET outcome = 'denied'"
    ),
}
TAMPERING = {
    "sqlite": {
        **EVERYWHERE,
        "replace": "INSERT OR REPLACE INTO audit_event SELECT * FROM audit_event",
        "insert or ignore": "INSERT OR IGNORE INTO audit_event SELECT * FROM audit_event",
        "update or replace": "UPDATE OR REPLACE audit_event SET tenant = tenant",
    },
    "postgresql": {
        **EVERYWHERE,
        "truncate": "TRUNCATE audit_event",
        "delete as a replica": "SET LOCAL session_replication_role = replica; DELETE FROM audit_event",
        "copy over it": "MERGE INTO audit_event e USING audit_event o ON e.event_id = o.event_id "
        "WHEN MATCHED THEN DELETE",
    },
}[connection.vendor]


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING)
def test_the_database_refuses(db: None, statement: str) -> None:
    record_alone(a_scope(), actions.SEARCHED)
    before = list(AuditEvent.objects.values())
    refused = pytest.raises(IntegrityError, match="append-only")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert list(AuditEvent.objects.values()) == before


def test_the_orm_cannot_either(db: None) -> None:
    event = AuditEvent.objects.get(pk=record_alone(a_scope(), actions.SEARCHED))
    for attempt in (event.save, event.delete, AuditEvent.objects.all().delete):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            attempt()
    assert AuditEvent.objects.count() == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no such settings")
def test_replacing_fires_the_triggers_on_every_connection(db: None) -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA recursive_triggers").fetchone() == (1,)
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_missing_guard_is_noticed(db: None) -> None:
    assert guards_missing() == []
    drop_trigger(guards()[1])
    assert guards_missing() == [guards()[1]]
