"""The second wall: a tenant sees its own rows alone. Reversible."""

from django.db import migrations

from muniment.wall import SETTING, SUBJECT, policies


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_initial")]
    operations = [
        policies(
            accounts_person=f"tenant_id = {SETTING} OR username = {SUBJECT} OR id::text = {SUBJECT}",
        )
    ]
