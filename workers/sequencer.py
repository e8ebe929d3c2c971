"""The sequencer: seals events soon after they are written. It alone reads the key of the log.

It looks into the queue four times a second, which costs less than a bell that every writer has to ring.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import django
from django.conf import settings
from django.db import DatabaseError, connection

from workers import guard, heartbeat

PAUSE_SECONDS = 0.25
# After a fault of the database or the disk, which may pass.
REST_SECONDS = 1.0

logger = logging.getLogger("workers.sequencer")


def main() -> int:
    django.setup()
    # What has models is imported once Django is set up.
    from muniment.audit.keys import KeyUnusable, signing_key
    from muniment.audit.sealing import LogBroken, Memory, seal

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_about: stop.set())
    folder = Path(settings.SEAL_DIR)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with guard.hold(folder / "lock"):
            key, memory = signing_key(folder, "log"), Memory(folder / "last")
            logger.info("The log's key has the fingerprint %s.", key.public.fingerprint)
            _run(stop, lambda: seal(key, memory))
    except (KeyUnusable, LogBroken, guard.AlreadyRunning) as problem:
        logger.error("%s", problem)
        return 1
    return 0


def _run(stop: threading.Event, seal: Callable[[], int]) -> None:
    """Until told to stop. Where nothing can be sealed there is no heartbeat, so that it is seen."""
    while not stop.is_set():
        try:
            sealed = seal()
        except (DatabaseError, OSError) as problem:
            logger.error("Nothing could be sealed: %s", problem)
            connection.close()
            stop.wait(REST_SECONDS)
            continue
        heartbeat.beat()
        if not sealed:
            stop.wait(PAUSE_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
