"""How the broker is reached: Celery's address, and clients for live streams and replies."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry


def celery_url() -> str:
    """Celery's spelling of the broker's address; it holds the password and must not be shown."""
    if settings.BROKER_URL.startswith("unix:"):
        return "redis+socket://" + settings.BROKER_URL.removeprefix("unix:")
    parts = urlsplit(settings.BROKER_URL)
    if settings.BROKER_PASSWORD:
        user, password = quote(settings.BROKER_USER, safe=""), quote(settings.BROKER_PASSWORD, safe="")
        parts = parts._replace(netloc=f"{user}:{password}@{parts.netloc}")
    if parts.scheme == "rediss" and not parts.query:
        # Celery checks the server's certificate only when it is told so.
        parts = parts._replace(query="ssl_cert_reqs=required")
    return urlunsplit(parts)


def _place() -> dict[str, Any]:
    """How redis-py is told the same."""
    if settings.BROKER_URL.startswith("unix:"):
        return {"url": "unix://" + settings.BROKER_URL.removeprefix("unix:")}
    return {
        "url": settings.BROKER_URL,
        "username": settings.BROKER_USER or None,
        "password": settings.BROKER_PASSWORD or None,
    }


def stranger() -> redis.Redis:
    """A client that gives no name and no password: a broker on a network must refuse it."""
    return redis.Redis.from_url(settings.BROKER_URL, socket_timeout=3, socket_connect_timeout=2)


@cache
def client() -> redis.Redis:
    """A client for this process. Calls fail after three seconds, so that a dead broker is noticed.

    One more try covers a broker that was started anew; one that hangs is not waited for twice.
    """
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(**_place(), socket_timeout=3, socket_connect_timeout=2, retry=retry)


def async_client() -> redis.asyncio.Redis:
    """A client of its own for one stream; the caller closes it. Blocking reads wait up to 20 seconds."""
    return redis.asyncio.Redis.from_url(**_place(), socket_timeout=25, socket_connect_timeout=2)
