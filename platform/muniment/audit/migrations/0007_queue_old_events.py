"""Events from before there was a log are sealed too, in the order of their times: first of all.

They say that nobody changed them since this migration; what was before, the log cannot know. Going back
forgets the queue with its table.
"""

from django.db import migrations

QUEUE = (
    "INSERT INTO audit_pending (event, tenant)"
    " SELECT event_id, tenant FROM audit_event ORDER BY occurred_at, event_id"
)


def queue(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        schema_editor.execute(QUEUE)
        return
    # The owner, too, sees one tenant's rows at a time; within this transaction it has to see all.
    schema_editor.execute("ALTER TABLE audit_event NO FORCE ROW LEVEL SECURITY")
    schema_editor.execute(QUEUE)
    schema_editor.execute("ALTER TABLE audit_event FORCE ROW LEVEL SECURITY")


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_sealed_log_guards")]
    operations = [migrations.RunPython(queue, migrations.RunPython.noop)]
