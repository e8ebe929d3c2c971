"""The second wall: a tenant sees its own rows alone. Reversible."""

from django.db import migrations

from muniment.wall import SETTING, policies


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial"), ("accounts", "0002_initial")]
    operations = [
        policies(
            tenancy_library=f"tenant_id = {SETTING}",
            tenancy_team=f"tenant_id = {SETTING}",
            # Under the walls of what they belong to.
            tenancy_grant="library_id IN (SELECT id FROM tenancy_library)",
            tenancy_team_members="team_id IN (SELECT id FROM tenancy_team)",
        )
    ]
