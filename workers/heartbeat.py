"""A process that serves no requests shows that it lives by renewing a file, named by MUNIMENT_HEARTBEAT."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

VARIABLE = "MUNIMENT_HEARTBEAT"


CLOCK = ".clock"


def beat(of: str = "") -> None:
    """Renew the file, or the one of that ending; does nothing for a process that nobody supervises."""
    name = os.environ.get(VARIABLE)
    if name:
        Path(name + of).touch()


def follow_celery() -> None:
    """Beat whenever the worker sends its own heartbeat: its consumer runs and reaches the broker."""
    from celery.signals import heartbeat_sent

    def sent(**about: Any) -> None:
        beat()

    heartbeat_sent.connect(sent, weak=False)


def fresh(path: Path, seconds: float = 10.0) -> bool:
    try:
        return time.time() - path.stat().st_mtime < seconds
    except FileNotFoundError:
        return False
