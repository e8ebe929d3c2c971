"""The second wall: a tenant sees its own rows alone. Reversible."""

from django.db import migrations

from muniment.wall import SETTING, policies


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0001_initial")]
    operations = [
        policies(
            evaluation_case=f"tenant = {SETTING}",
            evaluation_run=f"tenant = {SETTING}",
            evaluation_result=f"tenant = {SETTING}",
        )
    ]
