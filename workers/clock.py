"""The clock of upkeep. Several may run, on several hosts: for each entry the first one sends the message."""

from __future__ import annotations

from typing import Any

import redis
from celery.beat import PersistentScheduler, ScheduleEntry
from celery.schedules import crontab

from muniment.jobs.broker import client
from workers import heartbeat

# Clocks of two hosts differ by less than this when they mean the same time of day.
SAME_TIME_SECONDS = 600


class SharedClock(PersistentScheduler):  # type: ignore[misc]  # Celery has no types
    def tick(self, *args: Any, **kwargs: Any) -> float:
        # The worker of which this is a child process lives on without it.
        heartbeat.beat(heartbeat.CLOCK)
        return float(super().tick(*args, **kwargs))

    def apply_entry(self, entry: ScheduleEntry, producer: Any = None) -> None:
        if is_first(entry.name, _pace(entry)):
            super().apply_entry(entry, producer)


def is_first(name: str, seconds: float) -> bool:
    """Whether nobody has sent it within its pace; True as well where the broker does not say."""
    try:
        # A little less: the next one must not come too early by a hair.
        return bool(client().set(f"upkeep:clock:{name}", 1, nx=True, px=int(seconds * 800)))
    except redis.RedisError:
        return True


def _pace(entry: ScheduleEntry) -> float:
    if isinstance(entry.schedule, crontab):
        return SAME_TIME_SECONDS
    return float(entry.schedule.run_every.total_seconds())
