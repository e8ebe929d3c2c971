"""What code that got into a process would try: each attempt is named, and told by how the kernel answered."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from workers.walls import MACHINES

if TYPE_CHECKING:
    from starlette.requests import Request

# Documentation addresses: nobody answers there.
PUBLIC, PORT = "192.0.2.7", 443

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int | bytes | None) -> int:
    """A system call past Python and the C library's wrappers."""
    number = MACHINES[platform.machine()][1][name]
    return checked(libc.syscall(ctypes.c_long(number), *arguments))


def checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def native_socket(family: int = socket.AF_INET) -> int:
    return checked(libc.socket(family, socket.SOCK_STREAM, 0))


def native_connect(address: str = PUBLIC, port: int = PORT, kind: int = socket.SOCK_STREAM) -> int:
    """As a C library would: Python's audit hook sees nothing of it. UDP sends one byte."""
    where = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(port), socket.inet_aton(address))
    descriptor = checked(libc.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK, 0))
    try:
        if kind == socket.SOCK_DGRAM:
            return checked(libc.sendto(descriptor, b"?", 1, 0, where, len(where)))
        return checked(libc.connect(descriptor, where, len(where)))
    finally:
        os.close(descriptor)


def native_open(path: Path, flags: int = os.O_RDONLY) -> int:
    return checked(libc.open(bytes(path), flags, 0o600))


def outcome(attempt: Callable[[], object]) -> str:
    """`done`, or the name of the error."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "done"


# Ways to a socket. Never try them in the tests' own process: some work there, and for good.
SOCKETS: dict[str, Callable[[], object]] = {
    "python": lambda: socket.create_connection((PUBLIC, PORT), timeout=1),
    "native tcp": native_connect,
    "native udp": lambda: native_connect(kind=socket.SOCK_DGRAM),
    "native unix": lambda: native_socket(socket.AF_UNIX),
    "native netlink": lambda: native_socket(socket.AF_NETLINK),
    "io_uring": lambda: call("io_uring_setup", 4, ctypes.create_string_buffer(120).raw),
    "another process's": lambda: call("pidfd_getfd", os.pidfd_open(os.getppid()), 0, 0),
    "new namespace": lambda: call("unshare", 0x50000000),
    "debugger": lambda: call("ptrace", 16, os.getppid(), 0, 0),
}


def sockets() -> dict[str, str]:
    return {name: outcome(attempt) for name, attempt in SOCKETS.items()}


def network() -> str:
    """The name of the network that this process lives in."""
    return str(Path("/proc/self/ns/net").readlink())


def plant(server: ModuleType, attempts: Callable[[Request], dict[str, Any]]) -> None:
    """Give a server a route /planted that answers with what code within it could do."""
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    original = server.application

    async def planted(request: Request) -> JSONResponse:
        return JSONResponse(attempts(request))

    def application(parts: Any) -> Any:
        made = original(parts)
        made.router.routes.append(Route("/planted", planted))
        return made

    server.application = application  # type: ignore[attr-defined]  # each of the two servers has one
