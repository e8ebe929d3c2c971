"""Asking a worker something that is no job: the reply comes through a key that expires."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import redis
from asgiref.sync import sync_to_async

from muniment.database import release_connections
from muniment.jobs.broker import async_client, client
from muniment.jobs.doorbell import send
from muniment.pages.errors import Unavailable

KEEP_SECONDS = 60


def ask(task: str, queue: str, question: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Send a task and wait for its reply. Raises `Unavailable` when none comes in time."""
    key = f"reply:{uuid4()}"
    release_connections(pooled=True)
    if not send(task, queue, key, json.dumps(question)):
        raise Unavailable
    try:
        # The client's own time-out is a few seconds, so a longer wait is made of short ones.
        for _try in range(max(1, round(timeout / 2))):
            found = client().blpop([key], timeout=2)
            if found:
                return _opened(found[1])
    except redis.RedisError as error:
        raise Unavailable from error
    raise Unavailable


async def ask_async(task: str, queue: str, question: dict[str, Any], timeout: float) -> dict[str, Any]:
    """`ask` for views that wait beside others."""
    key = f"reply:{uuid4()}"
    if not await sync_to_async(send)(task, queue, key, json.dumps(question)):
        raise Unavailable
    connection = async_client()
    try:
        async with asyncio.timeout(timeout):
            found = await connection.blpop([key], timeout=timeout)
    except (redis.RedisError, TimeoutError) as error:
        raise Unavailable from error
    finally:
        await connection.aclose()
    if not found:
        raise Unavailable
    return _opened(found[1])


def reply(key: str, answer: dict[str, Any]) -> None:
    """The worker's side. An answer is a mapping; `{"problem": code}` says that it could not be given."""
    pipe = client().pipeline(transaction=False)
    pipe.rpush(key, json.dumps(answer))
    pipe.expire(key, KEEP_SECONDS)
    pipe.execute()


def _opened(raw: bytes | str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(raw)
    if "problem" in answer:
        raise Unavailable
    return answer
