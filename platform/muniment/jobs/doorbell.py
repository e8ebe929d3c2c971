"""Ringing for the workers by task name. A lost ring loses nothing: the sweeper rings again."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import redis
from celery import Celery

from muniment.jobs.broker import celery_url, client
from muniment.jobs.models import Job, Kind

log = logging.getLogger(__name__)

# Task and queue for each kind of job.
BELLS: dict[str, tuple[str, str]] = {
    Kind.INGEST: ("ingest.run", "ingest"),
    Kind.REMOVE: ("ingest.remove", "ingest"),
    Kind.MOVE: ("ingest.move", "ingest"),
    Kind.ANSWER: ("answer.run", "answer"),
    Kind.REINDEX: ("ingest.reindex", "ingest"),
    Kind.BUILD: ("ingest.build", "ingest"),
    Kind.EVALUATE: ("evaluate.run", "upkeep"),
}


def kinds_by_queue() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for kind, (_task, queue) in BELLS.items():
        found.setdefault(queue, []).append(kind)
    return found


@cache
def _celery() -> Celery:
    app = Celery("muniment-web", broker=celery_url(), set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        broker_connection_timeout=2,
        broker_transport_options={
            "socket_timeout": 2,
            "socket_connect_timeout": 2,
            # A dead broker must not hold a person up: try again at once, and no third time.
            "max_retries": 1,
            "interval_start": 0,
        },
    )
    return app


def send(task: str, queue: str, *args: Any) -> bool:
    """Send a message; False where the broker does not answer."""
    try:
        _celery().send_task(
            task, args=[str(arg) for arg in args], queue=queue, retry=False, ignore_result=True
        )
    except Exception:  # whatever the transport raises: the row is safe, the sweeper rings again
        log.warning("doorbell.unheard task=%s", task)
        return False
    return True


def unheard(queue: str) -> int:
    """How many rings of a queue nobody has heard yet; 0 where the broker does not answer."""
    try:
        return int(client().llen(queue))
    except redis.RedisError:
        return 0


def ring(job: Job) -> bool:
    """The message carries only ids: whoever hears it reads the row."""
    task, queue = BELLS[job.kind]
    return send(task, queue, job.id, job.tenant)
