"""The Celery application: queues, schedule, and how tasks are delivered.

The database holds the work; a message only rings. So tasks are acknowledged late, keep no results, and a lost
or doubled message does no harm.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in (str(ROOT / "platform"), str(ROOT)):
    if folder not in sys.path:
        sys.path.insert(0, folder)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "workers.settings")

import django  # noqa: E402 - the path comes first
from celery import Celery  # noqa: E402 - the path comes first
from celery.schedules import crontab  # noqa: E402 - the path comes first
from django.conf import settings  # noqa: E402 - the path comes first

django.setup(set_prefix=False)

from muniment.jobs.broker import celery_url  # noqa: E402 - after Django
from workers import heartbeat  # noqa: E402 - after Django

app = Celery("muniment", broker=celery_url())
app.conf.update(
    imports=[
        "workers.ingest.tasks",
        "workers.answer.tasks",
        "workers.upkeep.tasks",
        "workers.evaluate.tasks",
    ],
    task_serializer="json",
    accept_content=["json"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_consumer="workers.consumer:Consumer",
    # Nobody orders workers about but the supervisor.
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": 1800,
        "unacked_restore_throttle": 1,
        "socket_connect_timeout": 2,
    },
    enable_utc=True,
    timezone="UTC",
    beat_scheduler="workers.clock:SharedClock",
    # The clock must show that it lives.
    beat_max_loop_interval=3,
    # When each clock sent what; the data folder may be shared by several.
    beat_schedule_filename=str(settings.RUN_DIR / "beat"),
    beat_schedule={
        "sweep": {
            "task": "upkeep.sweep",
            "schedule": settings.SWEEP_SECONDS,
            "options": {"queue": "upkeep", "expires": settings.SWEEP_SECONDS},
        },
        "build the index": {
            "task": "upkeep.build",
            "schedule": settings.SWEEP_SECONDS,
            "options": {"queue": "upkeep", "expires": settings.SWEEP_SECONDS},
        },
        "tidy": {
            "task": "upkeep.tidy",
            "schedule": 3600,
            "options": {"queue": "upkeep", "expires": 3600},
        },
        "watch folders": {
            "task": "upkeep.watch",
            "schedule": 60,
            "options": {"queue": "upkeep", "expires": 60},
        },
        "compare a few": {
            "task": "upkeep.reconcile",
            "schedule": 30,
            "options": {"queue": "upkeep", "expires": 30},
        },
        "compare all": {
            "task": "upkeep.reconcile",
            "args": [True],
            "schedule": 3600,
            "options": {"queue": "upkeep", "expires": 3600},
        },
        # Reads every original, so once a day, when few people work.
        "reconcile": {
            "task": "upkeep.reconcile_by_night",
            "schedule": crontab(hour="2", minute="30"),
            "options": {"queue": "upkeep", "expires": 6 * 3600},
        },
        "sovereignty": {
            "task": "upkeep.sovereignty",
            "schedule": 600,
            "options": {"queue": "upkeep", "expires": 600},
        },
        "doctor": {
            "task": "upkeep.doctor",
            "schedule": 300,
            "options": {"queue": "upkeep", "expires": 300},
        },
    },
)

# The supervisor learns from this that a worker still consumes.
heartbeat.follow_celery()
