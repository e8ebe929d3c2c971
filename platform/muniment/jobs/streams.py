"""Live streams: what happens to a turn or in a library, appended by workers and read by browsers.

A stream lives in the broker and expires; the database holds what must last. Keys carry the tenant.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import redis
import redis.asyncio

from muniment.jobs.broker import async_client, client

log = logging.getLogger(__name__)

KEEP_SECONDS = 3600
MAX_ENTRIES = 20_000


@dataclass(frozen=True)
class Entry:
    id: str
    event: str
    data: dict[str, Any]


def turn_key(tenant: UUID, turn: UUID) -> str:
    return f"stream:{tenant}:turn:{turn}"


def library_key(tenant: UUID, library: UUID) -> str:
    return f"stream:{tenant}:library:{library}"


def append(key: str, event: str, data: dict[str, Any]) -> bool:
    """Add an entry; False where the broker does not answer, which costs liveness but no data."""
    try:
        pipe = client().pipeline(transaction=False)
        pipe.xadd(key, {"event": event, "data": json.dumps(data)}, maxlen=MAX_ENTRIES, approximate=True)
        pipe.expire(key, KEEP_SECONDS)
        pipe.execute()
    except redis.RedisError:
        log.warning("stream.unheard event=%s", event)
        return False
    return True


def drop(key: str) -> None:
    try:
        client().delete(key)
    except redis.RedisError:
        log.warning("stream.not_dropped")


def tail(key: str, count: int = 1000) -> list[Entry]:
    """The newest entries, oldest first; none where the broker does not answer."""
    try:
        rows: Any = client().xrevrange(key, count=count)
    except redis.RedisError:
        return []
    return [_entry(identifier, fields) for identifier, fields in reversed(rows)]


def missed(key: str, after: str) -> list[Entry]:
    """The entries after an id, oldest first; none where the broker does not answer."""
    try:
        rows: Any = client().xrange(key, min=f"({after}")
    except redis.RedisError:
        return []
    return [_entry(identifier, fields) for identifier, fields in rows]


def _entry(identifier: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(identifier.decode(), fields[b"event"].decode(), json.loads(fields[b"data"]))


async def follow(key: str, after: str, wait_ms: int = 15_000) -> AsyncIterator[Entry | None]:
    """Entries after an id, as they come; None whenever nothing came for `wait_ms`.

    Raises `redis.RedisError` where the broker does not answer. The caller closes the iterator.
    """
    connection = async_client()
    try:
        while True:
            found: Any = await connection.xread({key: after}, count=200, block=wait_ms)
            if not found:
                yield None
                continue
            for identifier, fields in found[0][1]:
                after = identifier.decode()
                yield _entry(identifier, fields)
    finally:
        await connection.aclose()
