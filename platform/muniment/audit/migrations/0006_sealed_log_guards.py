"""Each event is queued for its seal, and the database keeps the sealed log as it keeps events.

A place in the queue goes once the event has a leaf, and not before. Reversible: going back drops the triggers.
"""

from django.db import migrations

from muniment.wall import SETTING, policies

KEPT = {"audit_leaf": "event", "audit_checkpoint": "id", "audit_key": "key", "audit_pending": "id"}
AGAIN = {
    "audit_leaf": "event = NEW.event OR (tenant = NEW.tenant AND number = NEW.number)",
    "audit_checkpoint": "id = NEW.id OR (tenant = NEW.tenant AND size = NEW.size)",
    "audit_key": "key = NEW.key",
    "audit_pending": "id = NEW.id",
}
UNSEALED = "NOT EXISTS (SELECT 1 FROM audit_leaf WHERE event = OLD.event)"
FUNCTIONS = {
    "audit_log_refuse": (
        "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the sealed log is append-only'"
        " USING ERRCODE = 'restrict_violation'; END $$"
    ),
    "audit_pending_refuse": (
        f"LANGUAGE plpgsql AS $$ BEGIN IF {UNSEALED} THEN"
        " RAISE EXCEPTION 'the sealed log is append-only' USING ERRCODE = 'restrict_violation';"
        " END IF; RETURN OLD; END $$"
    ),
    # As the owner of the queue: who serves people has no right on it.
    "audit_event_queue": (
        "LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$ BEGIN"
        " INSERT INTO public.audit_pending (event, tenant) VALUES (NEW.event_id, NEW.tenant);"
        " RETURN NULL; END $$"
    ),
}


def on_sqlite():
    yield (
        "audit_event_queue AFTER INSERT ON audit_event BEGIN"
        " INSERT INTO audit_pending (event, tenant) VALUES (NEW.event_id, NEW.tenant); END"
    )
    refuse = "BEGIN SELECT RAISE(ABORT, 'the sealed log is append-only'); END"
    for table in KEPT:
        unsealed = f"WHEN {UNSEALED} " if table == "audit_pending" else ""
        again = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {AGAIN[table]})"
        yield f"{table}_no_update BEFORE UPDATE ON {table} {refuse}"
        yield f"{table}_no_delete BEFORE DELETE ON {table} {unsealed}{refuse}"
        yield f"{table}_no_replace BEFORE INSERT ON {table} {again} {refuse}"


def on_postgresql():
    yield "audit_event", "audit_event_queue AFTER INSERT ON audit_event FOR EACH ROW", "audit_event_queue"
    for table in KEPT:
        delete = "audit_pending_refuse" if table == "audit_pending" else "audit_log_refuse"
        yield table, f"{table}_no_update BEFORE UPDATE ON {table} FOR EACH ROW", "audit_log_refuse"
        yield table, f"{table}_no_delete BEFORE DELETE ON {table} FOR EACH ROW", delete
        yield table, f"{table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT", "audit_log_refuse"


def guard(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for trigger in on_sqlite():
            schema_editor.execute(f"CREATE TRIGGER {trigger}")
        return
    for name, does in FUNCTIONS.items():
        schema_editor.execute(f"CREATE FUNCTION {name}() RETURNS trigger {does}")
    for table, trigger, function in on_postgresql():
        schema_editor.execute(f"CREATE TRIGGER {trigger} EXECUTE FUNCTION {function}()")
        name = trigger.split(" ", 1)[0]
        # Also for a session that says that it only replicates.
        schema_editor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def unguard(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for trigger in on_sqlite():
            schema_editor.execute(f"DROP TRIGGER {trigger.split(' ', 1)[0]}")
        return
    for table, trigger, _function in on_postgresql():
        schema_editor.execute(f"DROP TRIGGER {trigger.split(' ', 1)[0]} ON {table}")
    for name in FUNCTIONS:
        schema_editor.execute(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_sealed_log")]
    operations = [
        migrations.RunPython(guard, unguard),
        policies(audit_leaf=f"tenant = {SETTING}"),
    ]
