"""A stand-in for a worker: takes messages from a queue of the real broker and replies as a worker would."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis

from muniment.jobs.replies import reply

Question = dict[str, Any]


@contextmanager
def answering(
    broker: redis.Redis, queue: str, answer: Callable[[Question], dict[str, Any]]
) -> Iterator[list[Question]]:
    """While the block runs, each question of the queue gets `answer(question)`. Gives what was asked."""
    asked: list[Question] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            found = broker.blpop([queue], timeout=0.2)
            if found:
                body = json.loads(base64.b64decode(json.loads(found[1])["body"]))
                key, question = body[0]
                asked.append(json.loads(question))
                reply(key, answer(asked[-1]))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield asked
    finally:
        ended.set()
        thread.join()
