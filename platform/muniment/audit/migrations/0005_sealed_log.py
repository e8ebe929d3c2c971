"""Tables of the sealed log, and a code beside each event that says that the application wrote it.

Both new columns of events may be empty, so that SQLite adds them to the table in place: a table that is made
anew would lose its guards.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_wall")]
    operations = [
        migrations.AddField("auditevent", "row_mac", models.BinaryField(max_length=32, null=True)),
        migrations.CreateModel(
            name="AuditPending",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("event", models.UUIDField()),
                ("tenant", models.UUIDField()),
            ],
            options={
                "db_table": "audit_pending",
                "indexes": [models.Index(fields=["tenant", "id"], name="audit_pending_tenant")],
            },
        ),
        migrations.CreateModel(
            name="AuditLeaf",
            fields=[
                ("event", models.UUIDField(primary_key=True, serialize=False)),
                ("tenant", models.UUIDField()),
                ("number", models.BigIntegerField()),
                ("leaf_hash", models.BinaryField(max_length=32)),
            ],
            options={
                "db_table": "audit_leaf",
                "constraints": [
                    models.UniqueConstraint(fields=["tenant", "number"], name="audit_leaf_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("tenant", models.UUIDField()),
                ("size", models.BigIntegerField()),
                ("note", models.TextField()),
                ("frontier", models.BinaryField()),
                ("made_at", models.DateTimeField()),
            ],
            options={
                "db_table": "audit_checkpoint",
                "constraints": [
                    models.UniqueConstraint(fields=["tenant", "size"], name="audit_checkpoint_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditKey",
            fields=[
                ("key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("made_at", models.DateTimeField()),
            ],
            options={"db_table": "audit_key"},
        ),
    ]
