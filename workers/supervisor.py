"""Starts the parts, keeps them running, and leaves nothing behind.

Written here because the kept libraries do not do this job: supervisord and circus leave children
running when they are killed and know neither readiness nor hanging nor memory limits; honcho
restarts nothing. What it does is small: one loop walks over the parts and moves each through the
states of `State`; questions that may take seconds are asked in threads.

It is called through `guard.guarded`, which leaves nothing behind even when the supervisor is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

import psutil

from workers import heartbeat
from workers.guard import CannotServe, kill_and_reap

LAUNCH = Path(__file__).with_name("launch.py")
TICK_SECONDS = 0.1
NEED_SECONDS = 1.0
SILENT_SECONDS = 30.0
CALM_SECONDS = 60.0
LONGEST_REST_SECONDS = 30.0
LOG_BYTES = 10_000_000
LOGS_KEPT = 3


class State(StrEnum):
    WAITING = "waiting"  # for the parts and servers it needs
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    RESTING = "resting"  # it died, and is started again after a while
    STOPPED = "stopped"


@dataclass(frozen=True)
class Need:
    """A server that somebody else runs. `check` may raise what it meets; `CannotServe` ends everything."""

    name: str
    check: Callable[[], bool]


@dataclass(frozen=True)
class Process:
    """A part: its command, how to ask whether it serves, what it needs first, and its limits.

    `after` are parts under the same supervisor, `needs` what answers elsewhere.
    """

    name: str
    command: Sequence[str]
    check: Callable[[], bool]
    after: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    sockets: tuple[Path, ...] = ()
    memory: int = 2_000_000_000
    nice: int = 0
    start_seconds: float = 120.0
    stop_seconds: float = 10.0


class Part:
    """A process under watch, and when to look at it again. Times are `time.monotonic()`."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.name = process.name
        self.state = State.WAITING
        self.child: subprocess.Popen[bytes] | None = None
        self.changed = time.time()
        self.started = self.seen = self.asked = self.deadline = self.measured = 0.0
        self.answer: Future[bool] | None = None
        self.missing: Future[list[str]] | None = None
        self.reason = self.waits = ""
        self.restarts = self.failures = self.memory = 0

    def move(self, state: State) -> None:
        self.state, self.changed = state, time.time()

    def facts(self) -> dict[str, Any]:
        """What the health page shows: since in seconds since 1970, memory in bytes."""
        pid = self.child.pid if self.child else None
        return {
            "name": self.name,
            "state": str(self.state),
            "pid": pid,
            "since": self.changed,
            "restarts": self.restarts,
            "rss": self.memory,
            "reason": self.waits or self.reason,
        }


class Supervisor:
    """Runs `processes` until it is told to stop. `logs` is None when their output goes to the terminal."""

    def __init__(
        self,
        processes: Iterable[Process],
        run_dir: Path,
        logs: Path | None,
        silent_seconds: float = SILENT_SECONDS,
        ready: str = "",
    ) -> None:
        self.parts = {process.name: Part(process) for process in processes}
        self.run_dir, self.logs, self.ready = run_dir, logs, ready
        self.silent_seconds = silent_seconds
        self.stopping = False
        self.refusal = ""
        self._hurry = self._told_ready = False
        self._began = time.monotonic()
        self._published: list[dict[str, Any]] = []
        self._next_upkeep = 0.0
        self._askers = ThreadPoolExecutor(len(self.parts) + 1)

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._told_to_stop)
        while not all(part.state is State.STOPPED for part in self.parts.values()):
            for part in self.parts.values():
                self._step(part)
            self._upkeep()
            time.sleep(TICK_SECONDS)
        self._bury_leftovers()
        self._publish()
        self.say("Everything is stopped.")
        self._askers.shutdown(wait=False, cancel_futures=True)
        return 1 if self.refusal else 0

    def say(self, text: str) -> None:
        # The terminal may be gone while the parts still have to be stopped in order.
        with contextlib.suppress(OSError):
            sys.stdout.write(f"[{time.monotonic() - self._began:6.1f} s] {text}\n")
            sys.stdout.flush()

    def _told_to_stop(self, number: int, frame: object) -> None:
        self._hurry = self.stopping
        self.stopping = True

    def _step(self, part: Part) -> None:
        if part.child and part.child.poll() is not None:
            self._ended(part, part.child.returncode)
        now = time.monotonic()
        match part.state:
            case State.WAITING | State.RESTING if self.stopping:
                part.move(State.STOPPED)
            case State.RESTING if now >= part.deadline:
                part.move(State.WAITING)
            case State.WAITING if self._all_ready(part.process.after) and self._all_answer(part, now):
                self._try_to_start(part)
            case State.STARTING | State.READY if self.stopping:
                if not self._needed(part):
                    self._end(part, "")
            case State.STARTING | State.READY:
                self._watch(part, now)
            case State.STOPPING if now >= part.deadline or self._hurry:
                self._kill(part)

    def _all_ready(self, names: Iterable[str]) -> bool:
        return all(self.parts[name].state is State.READY for name in names if name in self.parts)

    def _all_answer(self, part: Part, now: float) -> bool:
        """Whether the servers that a part needs do; those that do not are asked again every second."""
        if not part.process.needs:
            return True
        if part.missing is None:
            if now - part.asked >= NEED_SECONDS:
                part.asked, part.missing = now, self._askers.submit(_missing, part.process.needs)
            return False
        if not part.missing.done():
            return False
        asked, part.missing = part.missing, None
        try:
            missing = asked.result()
        except CannotServe as refused:
            self.refusal, self.stopping = str(refused), True
            self.say(self.refusal)
            return False
        before, part.waits = part.waits, f"for {' and '.join(missing)}" if missing else ""
        if part.waits and part.waits != before:
            self.say(f"{part.name} waits {part.waits}, and starts by itself")
        return not missing

    def _needed(self, part: Part) -> bool:
        others = (other for other in self.parts.values() if part.name in other.process.after)
        return any(other.state is not State.STOPPED for other in others)

    def _try_to_start(self, part: Part) -> None:
        try:
            self._start(part)
        except OSError as problem:
            # No room for a log, no memory for a process: that may pass, and the other parts go on.
            part.reason = f"it could not be started ({problem.strerror})"
            self._rest(part)

    def _start(self, part: Part) -> None:
        process = part.process
        self._sweep(part)
        command = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(process.nice)]
        environment = {**os.environ, **process.environment, heartbeat.VARIABLE: str(self._beats(part))}
        with self._log(part) as log:
            part.child = subprocess.Popen(
                [*command, *process.command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Not a session of its own: Linux shares the processor evenly among sessions where it can,
                # and a nice value counts only within one.
                process_group=0,
            )
        part.started = part.seen = time.monotonic()
        part.asked, part.answer, part.memory = 0.0, None, 0
        part.move(State.STARTING)

    def _log(self, part: Part) -> contextlib.AbstractContextManager[IO[bytes] | None]:
        if self.logs is None:
            return contextlib.nullcontext()
        return (self.logs / f"{part.name}.log").open("ab")

    def _watch(self, part: Part, now: float) -> None:
        if part.answer and part.answer.done():
            if part.answer.exception() is None and part.answer.result():
                self._serves(part, now)
            part.answer = None
        pause = 0.15 if part.state is State.STARTING else min(3.0, self.silent_seconds / 4)
        if part.answer is None and now - part.asked >= pause:
            part.asked, part.answer = now, self._askers.submit(part.process.check)
        if now - part.measured >= 5:
            part.measured, part.memory = now, _memory_of(part)
        if part.memory > part.process.memory:
            self._end(part, f"it took {part.memory >> 20} MB of at most {part.process.memory >> 20} MB")
        elif part.state is State.STARTING and now - part.started > part.process.start_seconds:
            self._end(part, f"it did not serve within {part.process.start_seconds:.0f} s")
        elif part.state is State.READY and now - part.seen > self.silent_seconds:
            self._end(part, f"it did not answer for {self.silent_seconds:.0f} s")

    def _serves(self, part: Part, now: float) -> None:
        part.seen = now
        if part.state is State.STARTING:
            part.move(State.READY)
            self.say(f"{part.name} is ready after {now - part.started:.1f} s")
        if part.failures and now - part.started > CALM_SECONDS:
            part.failures = 0
        if not self._told_ready and self._all_ready(self.parts):
            self._told_ready = True
            if self.ready:
                self.say(self.ready)

    def _end(self, part: Part, reason: str) -> None:
        part.reason = reason
        part.deadline = time.monotonic() + part.process.stop_seconds
        part.move(State.STOPPING)
        if reason:
            self.say(f"{part.name} is stopped: {reason}")
        if part.child:
            part.child.terminate()

    def _kill(self, part: Part) -> None:
        if part.child:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(part.child.pid, signal.SIGKILL)

    def _sweep(self, part: Part) -> None:
        """Remove what a process leaves that did not end by itself: its sockets and its heartbeat."""
        for stale in (*part.process.sockets, self._beats(part)):
            with contextlib.suppress(OSError):
                stale.unlink()

    def _beats(self, part: Part) -> Path:
        return self.run_dir / "heartbeat" / part.name

    def _ended(self, part: Part, code: int) -> None:
        self._kill(part)
        self._sweep(part)
        part.child, part.memory = None, 0
        self._next_upkeep = 0.0
        if self.stopping:
            part.move(State.STOPPED)
            return
        if part.state is not State.STOPPING:
            part.reason = (
                f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"
            )
        self._rest(part)
        if part.failures <= 2 and self.logs is not None:
            self.say(f"the end of its log:\n{_tail(self.logs / f'{part.name}.log')}")

    def _rest(self, part: Part) -> None:
        part.restarts += 1
        part.failures += 1
        rest = min(LONGEST_REST_SECONDS, 0.5 * 2 ** (part.failures - 1))
        part.deadline = time.monotonic() + rest
        part.move(State.RESTING)
        self.say(f"{part.name}: {part.reason}, it is started again in {rest:.1f} s")

    def _upkeep(self) -> None:
        now = time.monotonic()
        if now >= self._next_upkeep:
            self._next_upkeep = now + 2
            self._bury_leftovers()
            for part in self.parts.values():
                if self.logs is not None:
                    with contextlib.suppress(OSError):
                        _rotate(self.logs / f"{part.name}.log")
            self._publish()
        elif [part.facts() for part in self.parts.values()] != self._published:
            self._publish()

    def _bury_leftovers(self) -> None:
        """Children of a part that died become ours: nothing else can be a child that is not a part."""
        known = {part.child.pid for part in self.parts.values() if part.child}
        kill_and_reap(child for child in psutil.Process().children() if child.pid not in known)

    def _publish(self) -> None:
        self._published = [part.facts() for part in self.parts.values()]
        state = {"supervisor": os.getpid(), "updated": time.time(), "processes": self._published}
        fresh = self.run_dir / "state.json.new"
        # A full disk must not end the parts: the health page sees an old time and says so.
        with contextlib.suppress(OSError):
            fresh.write_text(json.dumps(state))
            fresh.replace(self.run_dir / "state.json")


def _missing(needs: Iterable[Need]) -> list[str]:
    """Names of those that do not answer. Raises CannotServe."""
    return [need.name for need in needs if not _answers(need)]


def _answers(need: Need) -> bool:
    try:
        return need.check()
    except CannotServe:
        raise
    except Exception:  # whatever its client raises: it is asked again
        return False


def _memory_of(part: Part) -> int:
    """Resident bytes of the process and everything below it."""
    if part.child is None:
        return 0
    total = 0
    with contextlib.suppress(psutil.NoSuchProcess):
        leader = psutil.Process(part.child.pid)
        for process in [leader, *leader.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
    return total


def _rotate(log: Path) -> None:
    """Copy and cut: the process keeps its open file, which it only ever appends to."""
    if not log.exists() or log.stat().st_size < LOG_BYTES:
        return
    for number in range(LOGS_KEPT - 1, 0, -1):
        older = log.with_suffix(f".log.{number}")
        if older.exists():
            older.replace(log.with_suffix(f".log.{number + 1}"))
    shutil.copyfile(log, log.with_suffix(".log.1"))
    os.truncate(log, 0)


def _tail(log: Path, lines: int = 5) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4000))
        text = file.read().decode(errors="replace")
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])
