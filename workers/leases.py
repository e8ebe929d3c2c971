"""Working on a job under a lease: take it, keep it while there is progress, end it one way or the other."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from uuid import UUID, uuid4

import psutil
from django.conf import settings
from django.db import InterfaceError, OperationalError, close_old_connections, connection

from muniment.jobs import services as jobs
from muniment.jobs.models import Job
from muniment.wall import within
from workers.engines import EngineUnavailable, IndexUnavailable, connect
from workers.engines.errors import ModelMissing

log = logging.getLogger(__name__)

# A part that is away is asked again after this many seconds; the job keeps its place.
RETRY_SECONDS = 5


class LeaseLost(Exception):
    """The job was cancelled, or somebody else has it by now: stop without a word."""


class Lease:
    """Held while work makes progress: who hangs, loses it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._renewed = time.monotonic()

    def beat(self) -> None:
        """Call often; renews every few seconds. Raises `LeaseLost`."""
        now = time.monotonic()
        if now - self._renewed < settings.LEASE_SECONDS / 8:
            return
        self.check()
        self._renewed = now

    def check(self) -> None:
        """Renew now. Raises `LeaseLost`."""
        if not jobs.renew(self.job):
            raise LeaseLost

    def finish(self) -> None:
        """In the open transaction: the job ends with its effect or not at all. Raises `LeaseLost`."""
        if not jobs.finish(self.job):
            raise LeaseLost

    @contextmanager
    def kept(self, seconds: float) -> Iterator[None]:
        """Renewed meanwhile, at most for `seconds`: for work that is silent for long but ends by itself.

        Who loses it all the same learns of that at the next `beat`.
        """
        over, until = threading.Event(), time.monotonic() + seconds

        def keep() -> None:
            held = True
            while held and not over.wait(settings.LEASE_SECONDS / 8) and time.monotonic() < until:
                with suppress(OperationalError):  # the next one may get through
                    held = jobs.renew(self.job)
            connection.close()

        keeper = threading.Thread(target=keep, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()


def work(job_id: str, tenant: str, do: Callable[[Lease], None], patient: bool = False) -> None:
    """Take a job and do it. `do` ends the work's own rows; here the job's row is ended.

    A part that does not answer gives the job back; a lease that was lost leaves everything to its new holder.
    `patient` work waits for such a part as long as it takes, the other kind has counted its tries.
    """
    close_old_connections()
    owner = f"{_machine()}{os.getpid()}:{uuid4().hex[:12]}"
    try:
        job = jobs.take(UUID(job_id), UUID(tenant), owner)
        if job is None and free_the_dead():
            job = jobs.take(UUID(job_id), UUID(tenant), owner)
        if job is None:
            return
        try:
            with within(job.tenant):
                do(Lease(job))
        except LeaseLost:
            log.info("job.lease_lost kind=%s", job.kind)
        except (IndexUnavailable, EngineUnavailable, ModelMissing) as error:
            log.warning("job.waits kind=%s for=%s", job.kind, _setting_of(error))
            # An index that came back empty needs its collection made again.
            connect.index.cache_clear()
            jobs.give_back(job, RETRY_SECONDS, type(error).__name__, counts=not patient)
        except (OperationalError, InterfaceError) as error:
            log.warning("job.waits kind=%s for=the database", job.kind)
            name = type(error).__name__
            _once_it_answers(lambda: jobs.give_back(job, 0, name, counts=not patient))
        except Exception as error:
            # Nobody knows what this was: try again a few times, `do` gives up by the number of attempts.
            log.exception("job.broke kind=%s attempt=%s", job.kind, job.attempt)
            jobs.give_back(job, RETRY_SECONDS * job.attempt, type(error).__name__[:64])
        else:
            _once_it_answers(lambda: jobs.finish(job))
    finally:
        close_old_connections()


def _once_it_answers(say: Callable[[], object]) -> None:
    """Say how a job stands as soon as the database is back, else it would lie until its lease ends.

    Later than that it is somebody else's to say.
    """
    until = time.monotonic() + settings.LEASE_SECONDS
    while time.monotonic() < until:
        close_old_connections()
        try:
            say()
            return
        except (OperationalError, InterfaceError):
            time.sleep(1)


def _setting_of(error: IndexUnavailable | EngineUnavailable | ModelMissing) -> str:
    """The setting that says where the part is that does not answer."""
    if isinstance(error, ModelMissing):
        return f"a model: {error}"
    return "MUNIMENT_INDEX_URL" if isinstance(error, IndexUnavailable) else "MUNIMENT_ENGINE_URL"


def free_the_dead() -> int:
    """End the leases of processes of this machine that are gone, so that nobody waits until they run out."""
    mine = _machine()
    owners = jobs.holders(mine)
    gone = [owner for owner in owners if not _lives(int(owner.removeprefix(mine).split(":")[0]))]
    return jobs.end_leases(gone) if gone else 0


@cache
def _machine() -> str:
    """First part of an owner's name: where a process id means the same process. Another boot or another
    container is another machine, even under the same host name."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}:"
    except OSError:  # not on Linux: then only this very run knows its processes
        return f"{uuid4().hex[:12]}:"


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
