"""The second wall: a tenant sees its own rows alone. Reversible."""

from django.db import migrations

from muniment.wall import SETTING, policies


class Migration(migrations.Migration):
    dependencies = [("documents", "0001_initial")]
    operations = [
        policies(
            documents_document=f"tenant = {SETTING}",
            documents_version=f"tenant = {SETTING}",
            documents_page=f"tenant = {SETTING}",
            documents_passage=f"tenant = {SETTING}",
            documents_upload=f"tenant = {SETTING}",
        )
    ]
