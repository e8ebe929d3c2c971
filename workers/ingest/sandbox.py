"""Reads a stranger's file in a process that may die of it.

`read_in_child` asks the warm reader (`warm.py`) for a child and listens to it. One warm reader serves a
process: it is started when first needed, works from threads and from Celery's daemonic children, and is
not shared with forks.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from workers.ingest import wire
from workers.ingest.document import ReadDocument
from workers.ingest.errors import (
    BY_CODE,
    KilledReader,
    NeedsTooMuchMemory,
    ReadError,
    ReaderUnavailable,
    TookTooLong,
)
from workers.ingest.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
WARM_READER = "workers.ingest.warm"
CHUNK = 1024 * 1024
# How long the end of a child may take to be told after its last word.
GRACE = 5.0

OnProgress = Callable[[int, int], None]


def read_in_child(
    path: Path, name: str, limits: Limits | None = None, on_progress: OnProgress | None = None
) -> ReadDocument:
    """Reads the file at `path`, which its owner calls `name`; `on_progress` gets pages done and in all.

    Raises ReadError with what is wrong with the file, ReaderUnavailable when no reader can be started.
    Whatever `on_progress` raises ends the child and is passed on.
    """
    arguments = {"name": name, "languages": settings.OCR_LANGUAGES}
    data = run("read", path, arguments, limits or Limits(), on_progress)
    try:
        return wire.decode(data)
    except wire.BadAnswer as error:
        raise KilledReader("bad answer") from error


def run(
    task: str, path: Path, arguments: dict[str, Any], limits: Limits, on_progress: OnProgress | None = None
) -> bytes:
    """Runs a task of the warm reader over a file in a child of its own and returns the bytes it gives."""
    request = {"task": task, "path": str(path.resolve()), "arguments": arguments, "limits": asdict(limits)}
    frames, status = _ask(json.dumps(request).encode())
    # Closing `status` is what has the child killed, however this ends.
    with status, os.fdopen(frames, "rb", buffering=0) as pipe:
        return _Listener(pipe.fileno(), limits, on_progress).result(status)


class _Listener:
    """Takes the frames of one child until its result, its error or its end."""

    def __init__(self, pipe: int, limits: Limits, on_progress: OnProgress | None) -> None:
        self.pipe = pipe
        self.limits = limits
        self.on_progress = on_progress
        self.deadline = time.monotonic() + limits.wall
        self.ready = select.poll()
        self.ready.register(pipe, select.POLLIN)

    def result(self, status: socket.socket) -> bytes:
        while True:
            head = self._take(wire.FRAME.size)
            if len(head) < wire.FRAME.size:
                raise _how_it_ended(status, self.limits)
            kind, length = wire.FRAME.unpack(head)
            if length > self.limits.output:
                raise KilledReader("bad answer")
            payload = self._take(length)
            if len(payload) < length:
                raise _how_it_ended(status, self.limits)
            if kind == wire.RESULT:
                return payload
            if kind == wire.ERROR:
                raise _error(payload)
            if self.on_progress and length == wire.STEP.size:
                self.on_progress(*wire.STEP.unpack(payload))

    def _take(self, length: int) -> bytes:
        """As many bytes as asked for, fewer only when the child has gone."""
        taken = bytearray()
        while len(taken) < length:
            left = self.deadline - time.monotonic()
            if left <= 0 or not self.ready.poll(left * 1000):
                raise TookTooLong("wall")
            chunk = os.read(self.pipe, min(length - len(taken), CHUNK))
            if not chunk:
                break
            taken += chunk
        return bytes(taken)


def _error(payload: bytes) -> ReadError:
    try:
        message = json.loads(payload)
        values = {str(key): str(value) for key, value in message["values"].items()}
        error = BY_CODE[message["code"]](str(message["cause"]), **values)
        str(error)  # does the sentence find its values?
        return error
    except (ValueError, KeyError, TypeError, AttributeError):
        return KilledReader("bad answer")


def _how_it_ended(status: socket.socket, limits: Limits) -> ReadError:
    """The error for a child that went without a word."""
    status.settimeout(GRACE)
    try:
        told = status.recv(wire.STATUS_BYTES).split()
    except OSError:
        told = []
    if len(told) != 2:
        return KilledReader("warm reader gone")
    code, peak = os.waitstatus_to_exitcode(int(told[0])), int(told[1]) * 1024
    if code == -signal.SIGXCPU:
        return TookTooLong("cpu")
    if code < 0 and peak > 0.7 * limits.memory:
        return NeedsTooMuchMemory(signal.Signals(-code).name)
    return KilledReader(signal.Signals(-code).name if code < 0 else f"exit {code}")


class _WarmReader:
    def __init__(self) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", WARM_READER, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env=_environment(),
                process_group=0,
            )

    def alive(self) -> bool:
        return self.process.poll() is None

    def ask(self, request: bytes, descriptors: list[int]) -> None:
        socket.send_fds(self.control, [request], descriptors)


def _environment() -> dict[str, str]:
    """Nothing of the caller's: no secrets, no proxies, no settings."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MALLOC_ARENA_MAX": "2",
    }


_lock = threading.Lock()
_warm: _WarmReader | None = None


def _ask(request: bytes) -> tuple[int, socket.socket]:
    """Sends the request; returns the pipe with the child's frames and the socket that tells how it ended."""
    for _ in range(2):
        frames, output = os.pipe()
        status, theirs = socket.socketpair()
        try:
            _reader().ask(request, [output, theirs.fileno()])
            return frames, status
        except OSError:  # it has died since
            os.close(frames)
            status.close()
        finally:
            os.close(output)
            theirs.close()
    raise ReaderUnavailable


def _reader() -> _WarmReader:
    global _warm
    with _lock:
        if _warm is None or not _warm.alive():
            _warm = _WarmReader()
        return _warm


def warm_up() -> None:
    """Starts the warm reader now, so that the first file need not wait for it."""
    _reader()


def _forget() -> None:
    """A fork starts a warm reader of its own; holding this one's socket would keep it from ending."""
    global _warm, _lock
    _lock = threading.Lock()
    if _warm is not None:
        _warm.control.close()
        _warm = None


os.register_at_fork(after_in_child=_forget)
