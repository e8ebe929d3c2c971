"""The warm reader with tasks that a hostile file might bring about; started as the real one is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

from tests import planted
from workers.ingest import warm
from workers.ingest.limits import Limits
from workers.ingest.readers import Progress


def attempts(path: Path, limits: Limits, progress: Progress, other: str, new: str) -> bytes:
    done = planted.sockets() | {
        "own file": planted.outcome(lambda: planted.native_open(path)),
        "other file": planted.outcome(lambda: planted.native_open(Path(other))),
        "folder": planted.outcome(lambda: list(Path(other).parent.iterdir())),
        "new file": planted.outcome(lambda: planted.native_open(Path(new), os.O_CREAT | os.O_WRONLY)),
        "own file to write": planted.outcome(lambda: planted.native_open(path, os.O_WRONLY)),
        "pair": planted.outcome(socket.socketpair),
        "program": planted.outcome(lambda: subprocess.run(["/bin/true"], check=True)),
        "signal": planted.outcome(lambda: os.kill(os.getppid(), signal.SIGCONT)),
        "network": planted.network(),
    }
    return json.dumps(done).encode()


def other_numbers(path: Path, limits: Limits, progress: Progress) -> bytes:
    """The system call `socket` by its number in the x32 ABI."""
    planted.libc.syscall(0x40000000 | 41, 2, 1, 0)
    return b"still here"


warm.TASKS |= {"attempts": attempts, "other numbers": other_numbers}

if __name__ == "__main__":
    warm.main()
