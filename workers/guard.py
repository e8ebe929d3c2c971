"""The ground a supervisor stands on: one a data folder, an address that is free, nothing left behind.

Two processes watch over each other. The parent only waits: when the supervisor is killed, it
adopts and kills what was left. When the parent is killed, the kernel tells the supervisor, which
stops everything in order.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import stat
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

import psutil

from workers.launch import PR_SET_PDEATHSIG

PR_SET_CHILD_SUBREAPER = 36
LONGEST_SOCKET_PATH = 107


class AlreadyRunning(Exception):
    """Another supervisor holds the data folder."""


class CannotServe(Exception):
    """The address cannot be opened, or the folder for sockets cannot be trusted."""


def guarded(run: Callable[[], int]) -> int:
    """Call `run` in a child process and give its exit code; nothing it started outlives this call."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        # A session of its own: Ctrl-C and a closed terminal reach the parent, which passes them on once.
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        code = 1
        try:
            code = run() if os.getppid() == parent else 1
        except BaseException:
            # This copy of the caller's stack must never be returned to.
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def pass_on(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGTERM)

    hang_up = [] if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [signal.SIGHUP]  # as nohup asks
    for number in (signal.SIGTERM, signal.SIGINT, *hang_up):
        signal.signal(number, pass_on)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child:
            break
    while left := psutil.Process().children(recursive=True):
        kill_and_reap(left)
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(status)


def hold(path: Path) -> IO[str]:
    """Take a lock that ends with this process; keep the file open. Raises AlreadyRunning."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise AlreadyRunning(
            f"Muniment already runs for this data folder (process {file.read().strip() or 'unknown'}). "
            "Stop it first, or name another folder with MUNIMENT_DATA."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_held(path: Path) -> bool:
    """Whether a supervisor runs for the data folder whose lock this is."""
    try:
        hold(path).close()
    except AlreadyRunning:
        return True
    return False


def check_port(host: str, port: int) -> None:
    """Raise CannotServe with a sentence when the address cannot be listened to."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as problem:
        other = f"The address {host}:{port} cannot be opened ({problem.strerror}): choose another"
        said = {
            errno.EADDRINUSE: f"Port {port} is in use by another program: stop it, or choose another",
            errno.EACCES: f"Port {port} is reserved for the system: choose another",
        }.get(problem.errno or 0, other)
        raise CannotServe(f"{said} with MUNIMENT_PORT or MUNIMENT_HOST.") from problem


def check_folder(folder: Path, seconds: float = 3.0) -> None:
    """Raise CannotServe when another process has the passage index in `folder` open.

    One that is just ending, of a supervisor that was killed, is waited for.
    """
    if not (folder / "lock").exists():
        return
    until = time.monotonic() + seconds
    with (folder / "lock").open("r+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise CannotServe(
                        "The index folder is in use by another process. Stop that one, or name another "
                        "data folder with MUNIMENT_DATA."
                    ) from None
                time.sleep(0.1)


def prepare_run_dir(run_dir: Path) -> None:
    """Make the folder for sockets, ours alone; a short one, because a socket's path may not be long."""
    try:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise CannotServe(
            f"The folder for sockets cannot be made ({problem.strerror}): name another one with MUNIMENT_RUN."
        ) from problem
    facts = run_dir.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise CannotServe("The folder for sockets belongs to others: name another one with MUNIMENT_RUN.")
    if len(os.fsencode(run_dir / "valkey.sock")) > LONGEST_SOCKET_PATH:
        raise CannotServe("The folder for sockets has too long a name: name another one with MUNIMENT_RUN.")
    (run_dir / "heartbeat").mkdir(exist_ok=True)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def kill_and_reap(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; those that are our children are taken off the table when they have ended."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(process.pid, os.WNOHANG)
