"""Looks at every part and says what to do. Needs nothing running; a part that breaks a check is a finding."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from django.db import DatabaseError
from django.utils.translation import gettext as _

from muniment.registry.queries import last_checks
from muniment.registry.services import store_checks
from workers.upkeep import certificate, data, machine, parts
from workers.upkeep.finding import Finding, State, bad

log = logging.getLogger(__name__)

Look = Callable[[], Iterator[Finding]]
MACHINE: dict[str, Look] = {
    "python": machine.python,
    "libraries": machine.libraries,
    "offline": machine.offline,
    "data folder": machine.data_folder,
    "secrets": machine.secrets,
    "certificate": certificate.look,
    "disk": machine.disk,
    "models": parts.models,
    "database": data.database,
    "processes": parts.processes,
    "broker": parts.broker,
}
# What is asked of a database that is there.
DATA: dict[str, Look] = {
    "migrations": data.migrations,
    "audit trail": data.trail,
    "clock": machine.clock,
    "originals": data.originals,
    "agreement": data.agreement,
    "backup": data.backups,
    "work": data.work,
    "index": parts.index,
    "index made with": parts.making,
    "engine": parts.engine,
}


def examine() -> list[Finding]:
    """Every check, in the order of the tables above."""
    looks = MACHINE | (DATA if _database_opens() else {})
    return [finding for name, look in looks.items() for finding in _looked(name, look)]


def examine_and_store() -> list[Finding]:
    """For the health page, which reads the rows."""
    findings = examine()
    store_checks([(finding.name, finding.state.value, finding.sentence) for finding in findings])
    return findings


def examine_after_a_start() -> None:
    """Look again once all parts are ready, where the last look found some of them starting."""
    since = parts.all_ready_since()
    if since is None:
        return
    last = last_checks()
    if not (last and last[0].at.timestamp() > since):
        examine_and_store()


def as_rows(findings: list[Finding]) -> list[dict[str, str]]:
    return [
        {"name": finding.name, "state": finding.state.value, "sentence": finding.sentence}
        for finding in findings
    ]


def is_ill(findings: list[Finding]) -> bool:
    return any(finding.state == State.BAD for finding in findings)


def _looked(name: str, look: Look) -> list[Finding]:
    try:
        return list(look())
    except Exception as error:  # the doctor looks at broken things: whatever it meets is a finding
        log.warning("doctor.check_broke name=%s", name, exc_info=error)
        what = {"what": type(error).__name__}
        return [bad(name, _("It could not be checked (%(what)s): read the log for the reason.") % what)]


def _database_opens() -> bool:
    try:
        return data.has_tables()
    except DatabaseError:
        return False
