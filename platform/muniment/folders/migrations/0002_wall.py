"""The second wall: a tenant sees its own rows alone. Reversible."""

from django.db import migrations

from muniment.wall import SETTING, policies


class Migration(migrations.Migration):
    dependencies = [("folders", "0001_initial")]
    operations = [
        policies(
            folders_folder=f"tenant = {SETTING}",
            folders_file=f"tenant = {SETTING}",
        )
    ]
