"""The second wall: a tenant sees its own rows alone. Reversible."""

from django.db import migrations

from muniment.wall import SETTING, policies


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_append_only_postgresql")]
    operations = [
        policies(
            audit_event=f"tenant = {SETTING}",
            audit_private=f"tenant = {SETTING}",
            audit_subject=f"tenant = {SETTING}",
        )
    ]
