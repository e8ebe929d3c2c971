"""The second wall: a tenant sees its own rows alone. Reversible."""

from django.db import migrations

from muniment.wall import SETTING, policies


class Migration(migrations.Migration):
    dependencies = [("conversations", "0001_initial")]
    operations = [
        policies(
            conversations_conversation=f"tenant = {SETTING}",
            conversations_turn=f"tenant = {SETTING}",
            conversations_source=f"tenant = {SETTING}",
            conversations_feedback=f"tenant = {SETTING}",
        )
    ]
