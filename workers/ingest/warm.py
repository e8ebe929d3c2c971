"""The warm reader: a small process with every parser loaded, which forks one child for each file.

Started by `sandbox` as `python -m workers.ingest.warm FD`. It runs no thread and holds no model, so that
forking is safe and takes milliseconds. It ends when the process that started it does.

It lives in a network of its own with nothing in it; its children have no sockets at all and open only
their one file, fonts and installed code.
"""

from __future__ import annotations

import ctypes
import gc
import json
import math
import os
import resource
import selectors
import signal
import socket
import sys
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers import walls
from workers.ingest import wire
from workers.ingest.errors import (
    BrokenFile,
    NeedsTooMuchMemory,
    ReadError,
    TooLarge,
    TooManyPages,
)
from workers.ingest.limits import MIB, Limits
from workers.ingest.readers import Progress, attached, ocr, registry
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.language import language_of
from workers.ingest.readers.text import one_line

PRELOADED = (
    *("docx", "eml", "epub", "html", "image", "markdown", "msg", "odt", "pdf", "picture", "plain", "pptx"),
    *("rtf", "xls", "xlsx"),
)
PR_SET_PDEATHSIG = 1
MAX_REQUEST = 64 * 1024
MAX_FILES = 64
UNCONFINED = 70
# Parsers recurse with the depth of what they parse; Python's own limit is too near for honest files.
RECURSION = 5_000
ROOT = Path(__file__).resolve().parents[2]
# Beside its file a parser reads code and templates that it did not import before, PDFium the fonts and
# Tesseract its data.
READABLE = (
    *{Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
    *(ROOT / name for name in ("workers", "platform")),
    *map(Path, ("/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/X11/fonts")),
    *map(Path, ("/usr/share/zoneinfo", "/etc/localtime")),
    *ocr.FOLDERS,
)


@dataclass
class Child:
    pid: int
    pidfd: int
    caller: socket.socket


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    _report(walls.Standing(bool(walls.machine()), walls.landlock_version(), walls.leave_network()))
    # openpyxl imports numpy when it is there, for types that no file holds: 30 MB and a pool of threads.
    sys.modules["numpy"] = None  # type: ignore[assignment]  # the documented way to forbid an import
    for name in PRELOADED:
        __import__(f"workers.ingest.readers.{name}")
    gc.collect()
    gc.freeze()
    Server(control).run()


def _report(standing: walls.Standing) -> None:
    if missing := standing.missing():
        sys.stderr.write(f"reader.walls_missing layers={','.join(missing)}\n")


class Server:
    """Takes requests, forks, tells the caller how its child ended; kills the child of a caller that left."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.parent = os.getppid()
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ, self.accept)
        self.children: dict[int, Child] = {}

    def run(self) -> None:
        # The parent is looked for as well: a fork of it may hold the other end of the socket open.
        while os.getppid() == self.parent:
            for key, _ in self.selector.select(timeout=1.0):
                key.data()
        self.stop()

    def stop(self) -> None:
        for child in self.children.values():
            _kill(child.pid)
        os._exit(0)

    def accept(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self.control, MAX_REQUEST, 2)
        if not message:
            self.stop()
        output, caller = descriptors
        pid = os.fork()
        if pid == 0:
            os.close(caller)
            self.control.close()
            run_child(json.loads(message), output)
        os.close(output)
        child = Child(pid, os.pidfd_open(pid), socket.socket(fileno=caller))
        self.children[pid] = child
        self.selector.register(child.pidfd, selectors.EVENT_READ, lambda: self.bury(child))
        self.selector.register(child.caller, selectors.EVENT_READ, lambda: self.abandon(child))

    def bury(self, child: Child) -> None:
        """Sends the wait status and the peak memory in KiB."""
        _, status, usage = os.wait4(child.pid, 0)
        _kill_group(child.pid)
        del self.children[child.pid]
        self.selector.unregister(child.pidfd)
        os.close(child.pidfd)
        if child.caller.fileno() >= 0:
            self.selector.unregister(child.caller)
            with suppress(OSError):  # the caller may have left
                child.caller.send(f"{status} {usage.ru_maxrss}".encode().ljust(wire.STATUS_BYTES))
            child.caller.close()

    def abandon(self, child: Child) -> None:
        if child.caller.fileno() < 0:
            return  # buried a moment ago, in the same round of events
        self.selector.unregister(child.caller)
        child.caller.close()
        _kill(child.pid)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)  # not reaped yet, so the id is still this child's
    _kill_group(pid)


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody may be left in it
        os.killpg(pid, signal.SIGKILL)


def run_child(request: dict[str, Any], output: int) -> None:
    """Runs one task and ends the process; never returns."""
    limits = Limits(**request["limits"])
    try:
        confine(limits)
        wall_in(Path(request["path"]))
    except OSError:
        os._exit(UNCONFINED)  # no fault of the file
    try:
        _send(output, wire.RESULT, _perform(request, limits, output))
    except ReadError as error:
        _send_error(output, error)
    except MemoryError:
        _send_error(output, NeedsTooMuchMemory())
    except BrokenPipeError:
        pass  # the caller has left
    except Exception as error:  # parsers raise whatever they like over a damaged file
        _send_error(output, BrokenFile(type(error).__name__))
    finally:
        os._exit(0)


def confine(limits: Limits) -> None:
    """Own process group, nothing of the terminal, and the limits; dies with the warm reader."""
    os.setpgid(0, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.nice(limits.nice)
    sys.setrecursionlimit(RECURSION)
    # What the warm reader itself has mapped comes on top.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for kind, soft, hard in (
        (resource.RLIMIT_AS, mapped + limits.memory, mapped + limits.memory),
        (resource.RLIMIT_CPU, limits.cpu, limits.cpu + math.ceil(limits.ocr) + 5),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, MAX_FILES, MAX_FILES),
    ):
        resource.setrlimit(kind, (soft, hard))


def wall_in(path: Path) -> None:
    """From now on this process reads `path` and installed code, writes nowhere and has no socket."""
    # Tesseract throws its remarks away there, and dies where it cannot.
    walls.only_files(read=[path, *READABLE], write=[Path(os.devnull)])
    walls.no_sockets()


def _perform(request: dict[str, Any], limits: Limits, output: int) -> bytes:
    task: Callable[..., bytes] = TASKS[request["task"]]
    path = Path(request["path"])
    if path.stat().st_size > limits.file:
        raise TooLarge(limit=f"{limits.file // MIB} MB")
    return task(path, limits, _reporter(output, limits), **request["arguments"])


def _read(path: Path, limits: Limits, progress: Progress, name: str, languages: str) -> bytes:
    Builder.max_text = limits.text
    ocr.prepare(languages, limits)
    attached.prepare(limits)
    document = registry.find_reader(path, name, limits.unpacked)(path, progress)
    document.title = document.title or one_line(Path(name).stem)
    document.language = language_of(document.text)
    data = wire.encode(document)
    if len(data) > limits.output:
        raise TooLarge(limit=f"{limits.output // MIB} MB of text and word positions")
    return data


def _picture(path: Path, limits: Limits, _progress: Progress, page: int, width: int) -> bytes:
    from workers.ingest.readers.picture import render

    return render(path, page, width)


TASKS: dict[str, Callable[..., bytes]] = {"read": _read, "picture": _picture}


def _reporter(output: int, limits: Limits) -> Progress:
    """Passes progress on, at most twenty times a second, and ends a reading with too many pages."""
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        if total > limits.pages:
            raise TooManyPages(pages=total, limit=limits.pages)
        now = time.monotonic()
        if now - last >= 0.05 or done == total:
            last = now
            _send(output, wire.PROGRESS, wire.STEP.pack(done, total))

    return progress


def _send(output: int, kind: bytes, payload: bytes) -> None:
    view = memoryview(wire.FRAME.pack(kind, len(payload)) + payload)
    while view:
        view = view[os.write(output, view) :]


def _send_error(output: int, error: ReadError) -> None:
    message = {"code": error.code, "cause": error.cause, "values": error.values}
    with suppress(BrokenPipeError):  # the caller may have left
        _send(output, wire.ERROR, json.dumps(message).encode())


if __name__ == "__main__":
    main()
