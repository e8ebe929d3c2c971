"""What runs by the clock."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import close_old_connections

from muniment.documents.uploads import drop_stale
from muniment.jobs.replies import reply
from muniment.jobs.services import sweep as sweep_jobs
from muniment.tenancy.queries import each_tenant
from workers.engines import IndexUnavailable, connect
from workers.leases import free_the_dead
from workers.upkeep import building, reconcile, sovereignty, watching
from workers.upkeep.doctor import as_rows, examine_after_a_start, examine_and_store
from workers.upkeep.trial import try_speed_once

log = logging.getLogger(__name__)


@shared_task(name="upkeep.sweep")
def sweep() -> None:
    """Ring for due jobs, look at what has started, and once an installation measure its engine and report."""
    close_old_connections()
    try:
        free_the_dead()
        sweep_jobs()
        examine_after_a_start()
        try_speed_once()
        sovereignty.refresh_first()
    finally:
        close_old_connections()


@shared_task(name="upkeep.build")
def build() -> None:
    """The next step of making another index, where one is being made."""
    close_old_connections()
    try:
        building.go_on()
    except IndexUnavailable:
        connect.index.cache_clear()
    finally:
        close_old_connections()


@shared_task(name="upkeep.doctor")
def doctor(key: str = "", question: str = "") -> None:
    """Look at every part and keep the findings: by the clock, or for a page that waits at `key`."""
    close_old_connections()
    try:
        findings = examine_and_store()
        if key:
            reply(key, {"checks": as_rows(findings)})
    finally:
        close_old_connections()


@shared_task(name="upkeep.sovereignty")
def report_sovereignty() -> None:
    """Make the report anew for the console's page."""
    close_old_connections()
    try:
        sovereignty.refresh()
    finally:
        close_old_connections()


@shared_task(name="upkeep.tidy")
def tidy() -> None:
    close_old_connections()
    try:
        for tenant in each_tenant():
            drop_stale(tenant.id)
    finally:
        close_old_connections()


@shared_task(name="upkeep.watch")
def watch() -> None:
    """Have libraries follow the folders that are mapped to them."""
    close_old_connections()
    try:
        watching.look_everywhere()
    finally:
        close_old_connections()


@shared_task(name="upkeep.reconcile")
def compare(whole: bool = False) -> None:
    """Index again what the index lost: `whole` counts every document, else a few at random go first."""
    close_old_connections()
    try:
        reconcile.everything() if whole else reconcile.sample()
    except IndexUnavailable:
        # The supervisor sees to it; one that comes back empty needs its collection made again.
        connect.index.cache_clear()
    finally:
        close_old_connections()


@shared_task(name="upkeep.reconcile_by_night")
def reconcile_by_night() -> None:
    """Compare and mend everything: points, rows and files."""
    reconcile.by_night()
