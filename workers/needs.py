"""The servers that a part needs before it starts, as questions for its supervisor.

One that does not answer is waited for. A database that answers but must not be worked with ends the start.
"""

from __future__ import annotations

from django.conf import settings

from muniment.jobs.broker import client
from workers import checks, preflight
from workers.supervisor import Need


def database() -> Need:
    return Need("the database (MUNIMENT_DATABASE_URL)", _database_answers)


def broker() -> Need:
    return Need("the broker (MUNIMENT_BROKER_URL)", lambda: bool(client().ping()))


def index() -> Need:
    return Need("the index (MUNIMENT_INDEX_URL)", checks.serves_http(settings.INDEX_URL, "/healthz"))


def _database_answers() -> bool:
    try:
        preflight.require()
    except preflight.DatabaseAway:
        return False
    return True
