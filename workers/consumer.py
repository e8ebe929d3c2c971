"""How a worker listens: no message that is none of ours ends it, and no word that got lost makes it deaf.

Celery takes what is in a queue for its own. Whoever may ring could else send something that ends one worker
and, never acknowledged, comes back to end the next.

Where the broker was away when a task said that it was done, Celery writes that down and goes on, with one
message fewer that it may hold: a worker that may hold one would never ask for another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from celery.worker import consumer

log = logging.getLogger(__name__)


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery has no types
    connection_errors: tuple[type[BaseException], ...]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lost = self.connection_errors
        # What is no message at all fails while the connection is read: connect again and go on.
        self.connection_errors = (*self.lost, AttributeError, KeyError, TypeError, ValueError)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        receive = super().create_task_handler(*args, **kwargs)

        def received(message: Any) -> None:
            _settle_or_raise(message)
            try:
                receive(message)
            except self.lost:
                raise
            except Exception as error:
                log.warning("message.dropped why=%s", type(error).__name__)
                message.reject_log_error(log, self.lost)

        return received


def _settle_or_raise(message: Any) -> None:
    """What Celery calls to settle a message raises for a lost connection: then the worker connects anew."""
    message.ack_log_error = lambda _log, _errors, **more: message.ack(**more)
    message.reject_log_error = lambda _log, _errors, **more: message.reject(**more)
