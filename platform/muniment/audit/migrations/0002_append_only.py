"""The database itself refuses to change or remove an event.

SQLite; the guards of PostgreSQL come next.
Reversible: going back drops the triggers and leaves the events.
"""

from django.db import migrations

GUARDS = {
    "audit_event_no_update": "BEFORE UPDATE ON audit_event",
    "audit_event_no_delete": "BEFORE DELETE ON audit_event",
    # INSERT OR REPLACE deletes the old row without asking the delete trigger unless recursive triggers are on.
    "audit_event_no_replace": (
        "BEFORE INSERT ON audit_event WHEN EXISTS "
        "(SELECT 1 FROM audit_event WHERE event_id = NEW.event_id)"
    ),
}


def guard(apps, schema_editor):
    if schema_editor.connection.vendor != "sqlite":
        return
    for name, when in GUARDS.items():
        schema_editor.execute(
            f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, 'audit events are append-only'); END"
        )


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor != "sqlite":
        return
    for name in GUARDS:
        schema_editor.execute(f"DROP TRIGGER {name}")


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(guard, unguard)]
