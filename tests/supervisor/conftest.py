"""A supervisor in a process of its own over small fake parts, and a table of what is still alive."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]

# A part that beats, notes each of its starts, has a child of its own, and does what its files say.
FAKE = """
import os, pathlib, subprocess, sys, time
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
with (folder / f"{name}.starts").open("a") as starts:
    starts.write(f"{time.time()}\\n")
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
grandchild = subprocess.Popen(sleep, start_new_session=True)
print(f"{name} runs as {os.getpid()}", flush=True)
while True:
    if (folder / f"{name}.dies").exists():
        sys.exit(3)
    if (folder / f"{name}.grows").exists():
        ballast = bytearray(120_000_000)
    if not (folder / f"{name}.hangs").exists():
        pathlib.Path(os.environ["MUNIMENT_HEARTBEAT"]).touch()
    time.sleep(0.05)
"""

PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from workers import checks, guard, heartbeat
from workers.supervisor import Need, Process, Supervisor

folder = Path({folder!r})
run_dir = folder / "run"
guard.prepare_run_dir(run_dir)
(folder / "logs").mkdir(exist_ok=True)
lock = guard.hold(folder / "lock")

def answers():
    if (folder / "refuses").exists():
        raise guard.CannotServe("Its tables are too old.")
    return (folder / "answers").read_text() == "yes"

def part(name, *after, **more):
    beat = run_dir / "heartbeat" / name
    return Process(
        name=name,
        command=[sys.executable, "-S", str(folder / "fake.py"), str(folder), name],
        check=lambda: heartbeat.fresh(beat, 0.5),
        after=after,
        **more,
    )

watcher = Supervisor([{parts}], run_dir, folder / "logs", silent_seconds=1.0, ready="all are ready")
sys.exit(guard.guarded(watcher.run))
"""


def eventually(question: Callable[[], Any], seconds: float = 15) -> Any:
    """The first true answer within some seconds; else the test fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := question():
            return answer
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


class Watched:
    """A running supervisor: its process, its folder, and everything that it ever started."""

    def __init__(self, folder: Path, parts: str) -> None:
        self.folder = folder
        (folder / "fake.py").write_text(FAKE)
        program = textwrap.dedent(PROGRAM).format(root=str(ROOT), folder=str(folder), parts=parts)
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "MUNIMENT_TEST_FOLDER": str(folder)},
        )

    def parts(self) -> dict[str, dict[str, Any]]:
        try:
            state = json.loads((self.folder / "run" / "state.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        return {part["name"]: part for part in state["processes"]}

    def state(self, name: str) -> str:
        return str(self.parts().get(name, {}).get("state", ""))

    def wait_ready(self, *names: str) -> None:
        eventually(lambda: all(self.state(name) == "ready" for name in names))

    def starts(self, name: str) -> list[float]:
        path = self.folder / f"{name}.starts"
        return [float(line) for line in path.read_text().split()] if path.exists() else []

    def alive(self) -> list[psutil.Process]:
        """Processes that carry this test's mark, the supervisor's own included."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("MUNIMENT_TEST_FOLDER") == str(self.folder)
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def end(self) -> str:
        """Ctrl-C, and what it said."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.communicate(timeout=20)[0]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[[str], Watched]]:
    running: list[Watched] = []

    def start(parts: str) -> Watched:
        running.append(Watched(tmp_path, parts))
        return running[-1]

    yield start
    for watched in running:
        watched.process.kill()
        watched.process.wait()
        for process in watched.alive():
            process.kill()
