"""How a worker listens: a message that is none of ours is dropped, and does not end the worker.

Celery takes what is in a queue for its own. Whoever may ring could else send something that ends one worker
and, never acknowledged, comes back to end the next.
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
            try:
                receive(message)
            except self.lost:
                raise
            except Exception as error:
                log.warning("message.dropped why=%s", type(error).__name__)
                message.reject_log_error(log, self.lost)

        return received
