"""Runs long steps side by side and says of each how far it is and how long it still takes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

QUIET_SECONDS = 10.0


class Problem(Exception):
    """Why the setup stops, as a sentence that says what to do."""


class Step:
    """A named piece of work with a log of its own. `measure` reads its log and gives 0 to 1, or None."""

    def __init__(
        self,
        name: str,
        work: Callable[[Step], None],
        measure: Callable[[str], float | None],
        logs: Path,
    ) -> None:
        self.name = name
        self._work, self._measure = work, measure
        self.log = logs / f"{name}.log"
        self.began: float | None = None
        self.ended: float | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._told_to_stop = False

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Run a command into the log. Raises Problem with the end of the log when it fails."""
        if self._told_to_stop:
            raise Problem(f"{self.name} was stopped.")
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
            code = self._child.wait()
        if code != 0:
            raise Problem(
                f"{self.name} failed, its log ends with:\n{self._end_of_log()}\nRun the command again."
            )

    def do(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        self.began = time.monotonic()
        self._work(self)
        self.ended = time.monotonic()

    def stop(self) -> None:
        self._told_to_stop = True
        if self._child and self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGTERM)

    def status(self) -> str:
        if self.began is None:
            return f"{self.name} waits"
        if self.ended is not None:
            return f"{self.name} done in {clock(self.ended - self.began)}"
        spent = time.monotonic() - self.began
        part = self._measure(self.log.read_text(errors="replace"))
        if not part or part < 0.03:
            return f"{self.name} {clock(spent)}"
        return f"{self.name} {part:.0%}, about {clock(spent * (1 - part) / part)} left"

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


def side_by_side(lanes: Sequence[Sequence[Step]]) -> None:
    """Run lanes at the same time, the steps of a lane one after the other; the first problem ends all."""
    problems: list[BaseException] = []
    steps = [step for lane in lanes for step in lane]

    def drive(lane: Sequence[Step]) -> None:
        try:
            for step in lane:
                step.do()
        except Exception as problem:  # any failure in a thread must end the others and be shown
            problems.append(problem)
            for step in steps:
                step.stop()

    threads = [threading.Thread(target=drive, args=(lane,)) for lane in lanes if lane]
    for thread in threads:
        thread.start()
    try:
        _report(steps, threads)
    except KeyboardInterrupt:
        for step in steps:
            step.stop()
        raise
    finally:
        for thread in threads:
            thread.join()
    if problems:
        raise problems[0]


def _report(steps: Sequence[Step], threads: Sequence[threading.Thread]) -> None:
    began = said = time.monotonic()
    live = sys.stderr.isatty()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        now = time.monotonic()
        if now - said >= (1.0 if live else QUIET_SECONDS):
            said = now
            _say(_line(steps, now - began), live)
    if live:
        sys.stderr.write("\r\033[K")
    if steps:
        _say(_line(steps, time.monotonic() - began), live=False)


def _line(steps: Sequence[Step], seconds: float) -> str:
    return f"[{clock(seconds)}] " + " | ".join(step.status() for step in steps)


def _say(line: str, live: bool) -> None:
    sys.stderr.write(f"\r\033[K{line}" if live else f"{line}\n")
    sys.stderr.flush()


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def percent_in(log: str) -> float | None:
    """The last `n %` that a log says."""
    found = re.findall(r"\b(\d{1,3}) %", log)
    return int(found[-1]) / 100 if found else None


def ninja_in(log: str) -> float | None:
    """How far ninja or make is: the last `[12/345]` or `[ 12%]`."""
    counts = re.findall(r"^\s*\[(\d+)/(\d+)\]", log, re.MULTILINE)
    if counts:
        done, total = map(int, counts[-1])
        return done / total
    shares = re.findall(r"^\s*\[\s*(\d+)%\]", log, re.MULTILINE)
    return int(shares[-1]) / 100 if shares else None
