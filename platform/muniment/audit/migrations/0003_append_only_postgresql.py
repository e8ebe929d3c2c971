"""PostgreSQL, too, refuses to change or remove an event.

Reversible: going back drops the triggers and leaves the events.
"""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION audit_event_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only' USING ERRCODE = 'restrict_violation';
END $$
"""
GUARDS = {
    "audit_event_no_update": "BEFORE UPDATE ON audit_event FOR EACH ROW",
    "audit_event_no_delete": "BEFORE DELETE ON audit_event FOR EACH ROW",
    "audit_event_no_truncate": "BEFORE TRUNCATE ON audit_event FOR EACH STATEMENT",
}


def guard(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    schema_editor.execute(FUNCTION)
    for name, when in GUARDS.items():
        schema_editor.execute(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION audit_event_refuse()")
        # Also for a session that says that it only replicates.
        schema_editor.execute(f"ALTER TABLE audit_event ENABLE ALWAYS TRIGGER {name}")


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    for name in GUARDS:
        schema_editor.execute(f"DROP TRIGGER {name} ON audit_event")
    schema_editor.execute("DROP FUNCTION audit_event_refuse()")


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only")]
    operations = [migrations.RunPython(guard, unguard)]
