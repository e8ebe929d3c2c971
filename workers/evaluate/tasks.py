"""Celery's side of measuring: the message names a job, the row says the rest."""

from __future__ import annotations

from celery import shared_task

from workers.evaluate.kept import work_on
from workers.leases import work


@shared_task(name="evaluate.run")
def run(job: str, tenant: str) -> None:
    work(job, tenant, work_on)
