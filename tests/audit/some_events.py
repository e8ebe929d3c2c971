"""Runs in a process of an installation of its own: a few events."""

from __future__ import annotations

from uuid import uuid4

from django.core.management import call_command

from muniment.audit import actions
from muniment.audit.services import record_alone
from muniment.scope import Scope


def main() -> None:
    call_command("migrate", verbosity=0)
    scope = Scope(tenant=uuid4())
    for number in range(5):
        record_alone(scope, actions.SEARCHED, details={"hits": number}, private={"query": "lamps"})
