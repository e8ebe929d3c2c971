"""How the broker is reached: Celery's address, and clients for live streams and replies."""

from __future__ import annotations

from functools import cache

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry


def celery_url() -> str:
    """Celery's spelling of the broker's address."""
    if settings.BROKER_URL.startswith("unix:"):
        return "redis+socket://" + settings.BROKER_URL.removeprefix("unix:")
    return str(settings.BROKER_URL)


def _client_url() -> str:
    if settings.BROKER_URL.startswith("unix:"):
        return "unix://" + settings.BROKER_URL.removeprefix("unix:")
    return str(settings.BROKER_URL)


@cache
def client() -> redis.Redis:
    """A client for this process. Calls fail after three seconds, so that a dead broker is noticed.

    One more try covers a broker that was started anew; one that hangs is not waited for twice.
    """
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(_client_url(), socket_timeout=3, socket_connect_timeout=2, retry=retry)


def async_client() -> redis.asyncio.Redis:
    """A client of its own for one stream; the caller closes it. Blocking reads wait up to 20 seconds."""
    return redis.asyncio.Redis.from_url(_client_url(), socket_timeout=25, socket_connect_timeout=2)
