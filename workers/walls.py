"""Walls that a process builds around itself, for good: no sockets, few files, no network.

The kernel holds them, whatever code then runs inside, and none needs a capability: a filter of system calls
(seccomp), rules about files (Landlock), and a network of one's own with nothing in it (a namespace). Where
a kernel lacks Landlock or forbids namespaces the others still stand; `Standing` says which do.
Standard library only: the warm reader imports this before every parser, and each of its children calls it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NEW_NAMESPACES = 0x7E020000
# The same on both machines.
SAME = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
SAME |= {"open_tree": 428, "move_mount": 429, "fsopen": 430, "pidfd_getfd": 438, "clone3": 435}
# The number that names the machine in a filter, and its numbers of system calls.
MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        SAME
        | {"socket": 41, "connect": 42, "accept": 43, "sendto": 44, "recvfrom": 45, "sendmsg": 46}
        | {"recvmsg": 47, "bind": 49, "listen": 50, "socketpair": 53, "clone": 56, "execve": 59}
        | {"ptrace": 101, "pivot_root": 155, "chroot": 161, "mount": 165, "umount2": 166}
        | {"init_module": 175, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250}
        | {"unshare": 272, "accept4": 288, "perf_event_open": 298, "recvmmsg": 299}
        | {"open_by_handle_at": 304, "sendmmsg": 307, "setns": 308, "process_vm_readv": 310}
        | {"process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "seccomp": 317, "bpf": 321}
        | {"execveat": 322, "userfaultfd": 323},
    ),
    "aarch64": (
        0xC00000B7,
        SAME
        | {"umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "unshare": 97}
        | {"kexec_load": 104, "init_module": 105, "ptrace": 117, "socket": 198, "socketpair": 199}
        | {"bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206, "recvfrom": 207}
        | {"sendmsg": 211, "recvmsg": 212, "add_key": 217, "request_key": 218, "keyctl": 219}
        | {"clone": 220, "execve": 221, "perf_event_open": 241, "accept4": 242, "recvmmsg": 243}
        | {"open_by_handle_at": 265, "setns": 268, "sendmmsg": 269, "process_vm_readv": 270}
        | {"process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "seccomp": 277, "bpf": 280}
        | {"execveat": 281, "userfaultfd": 282},
    ),
}
# Ways to a socket that another process or another part of the kernel would open, and ways out of a wall.
SIDE_DOORS = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "ptrace", "process_vm_readv"),
    *("process_vm_writev", "kcmp", "pidfd_getfd", "unshare", "setns", "mount", "umount2", "pivot_root"),
    *("chroot", "open_tree", "move_mount", "fsopen", "open_by_handle_at", "bpf", "perf_event_open"),
    *("userfaultfd", "add_key", "request_key", "keyctl", "init_module", "finit_module", "kexec_load"),
)
OPENING = ("socket", "connect", "bind")
USING = (
    *("listen", "accept", "accept4", "sendto", "sendmsg", "sendmmsg"),
    *("recvfrom", "recvmsg", "recvmmsg", "socketpair", "execve", "execveat"),
)

LOAD, IF_EQUAL, IF_AT_LEAST, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
AT_NUMBER, AT_MACHINE, AT_FIRST_ARGUMENT = 0, 4, 16
# 64-bit processes can call by the numbers of the x32 ABI too, which the filter does not know.
X32 = 0x40000000
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1

LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE = 1 << 14
# What each version of Landlock can refuse: kinds of access to files, TCP (bind, connect), scopes (abstract
# unix sockets, signals).
FILES_FROM = {1: (1 << 13) - 1, 2: 1 << 13, 3: TRUNCATE}
TCP_FROM, SCOPES_FROM = 4, 6
ON_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
SCRATCH = Path("/dev/shm")  # noqa: S108 - memory, for a process that may write nowhere else

# Where a system keeps what libraries look up: of processors, names, time zones, and of themselves.
SYSTEM = [Path("/", name) for name in ("usr", "lib", "lib64", "etc", "proc", "sys", "dev")]

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Standing:
    """Which walls stand around this process; `landlock` is the kernel's version of it, 0 for none."""

    seccomp: bool = False
    landlock: int = 0
    namespace: bool = False

    def missing(self) -> list[str]:
        """Names of the layers that this machine did not give."""
        layers = {"seccomp": self.seccomp, "landlock": self.landlock, "network namespace": self.namespace}
        return [name for name, stands in layers.items() if not stands]


def shut_server() -> Standing:
    """For a process that serves the socket it already listens on: it opens no other and writes no file
    but in memory. Call it before there are threads."""
    # Libraries want a folder for temporary files, if only to know that there is one.
    os.environ["TMPDIR"] = str(SCRATCH)
    cards = [*Path("/dev").glob("nvidia*"), Path("/dev/dri"), Path("/dev/kfd")]
    return Standing(
        namespace=leave_network(),
        landlock=only_files(
            read=[Path("/")], write=[Path("/dev/null"), SCRATCH, *cards], execute=[Path("/")]
        ),
        seccomp=no_sockets(serving=True),
    )


def shut_keeper(folder: Path) -> Standing:
    """As `shut_server`, for one that keeps data: it writes in its own folder, reads nothing else but programs
    and libraries, and starts no program."""
    os.environ["TMPDIR"] = str(SCRATCH)
    return Standing(
        namespace=leave_network(),
        landlock=only_files(
            read=[*SYSTEM, *_libraries(), folder], write=[Path("/dev/null"), SCRATCH, folder]
        ),
        seccomp=no_sockets(serving=True),
    )


def _libraries() -> set[Path]:
    """Python's own and ours. Of the checkout only what holds code: by default it has the data in it too."""
    checkout = Path(__file__).resolve().parents[1]
    places = {Path(sys.prefix), Path(sys.base_prefix)} | {Path(entry).resolve() for entry in sys.path}
    code = {checkout / name for name in ("platform", "workers", "tests")}
    return {place for place in places if place not in checkout.parents} - {checkout} | code


def no_sockets(*, serving: bool = False) -> bool:
    """From now on no thread of this process opens a socket; False where this machine has no such filter.

    `serving` leaves what is open usable and lets a listening socket accept; without it sockets that were
    inherited are dead as well, and no program can be started.
    """
    here = machine()
    if here is None:
        return False
    architecture, numbers = here
    refused = [*SIDE_DOORS, *OPENING, *(() if serving else USING)]
    program = b"".join(_filter(architecture, numbers, refused))
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    _no_new_privileges()
    left_out = _call(numbers["seccomp"], SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, header)
    if left_out:
        raise OSError(errno.EPERM, f"thread {left_out} did not take the filter")
    return True


def machine() -> tuple[int, dict[str, int]] | None:
    """What a filter of system calls needs to know of this machine; None where it has no such filter."""
    return MACHINES.get(platform.machine()) if sys.platform == "linux" else None


def _filter(architecture: int, numbers: dict[str, int], refused: Iterable[str]) -> Iterator[bytes]:
    yield _step(LOAD, AT_MACHINE)
    yield _step(IF_EQUAL, architecture, 1, 0)
    yield _step(RETURN, KILL)
    yield _step(LOAD, AT_NUMBER)
    yield _step(IF_AT_LEAST, X32, 0, 1)
    yield _step(RETURN, KILL)
    for name in refused:
        yield _step(IF_EQUAL, numbers[name], 0, 1)
        yield _step(RETURN, FAIL | errno.EPERM)
    # Its flags lie in memory, where a filter cannot look; the C library then takes `clone`.
    yield _step(IF_EQUAL, numbers["clone3"], 0, 1)
    yield _step(RETURN, FAIL | errno.ENOSYS)
    yield _step(IF_EQUAL, numbers["clone"], 0, 3)
    yield _step(LOAD, AT_FIRST_ARGUMENT)
    yield _step(IF_ANY_BIT, NEW_NAMESPACES, 0, 1)
    yield _step(RETURN, FAIL | errno.EPERM)
    # A pair of unix sockets, which an event loop wakes itself with, leads nowhere else.
    yield _step(LOAD, AT_NUMBER)
    yield _step(IF_EQUAL, numbers["socketpair"], 0, 3)
    yield _step(LOAD, AT_FIRST_ARGUMENT)
    yield _step(IF_EQUAL, socket.AF_UNIX, 1, 0)
    yield _step(RETURN, FAIL | errno.EPERM)
    yield _step(RETURN, ALLOW)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def only_files(read: Iterable[Path] = (), write: Iterable[Path] = (), execute: Iterable[Path] = ()) -> int:
    """From now on this process touches only what lies at or below these places, and speaks no TCP.

    Files that are open stay open. Returns the kernel's version of Landlock, 0 where it has none.
    """
    version = landlock_version()
    if not version:
        return 0
    files = sum(bits for since, bits in FILES_FROM.items() if since <= version)
    wanted = struct.pack("QQQ", files, 3 if version >= TCP_FROM else 0, 3 if version >= SCOPES_FROM else 0)
    rules = _call(LANDLOCK_CREATE, wanted, _length_of_rules(version), 0)
    try:
        for places, access in ((read, READ_FILE | READ_DIR), (write, files & ~EXECUTE), (execute, EXECUTE)):
            for place in places:
                _allow(rules, place, access)
        _no_new_privileges()
        _call(LANDLOCK_RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return version


def _length_of_rules(version: int) -> int:
    return 8 * (1 + (version >= TCP_FROM) + (version >= SCOPES_FROM))


def landlock_version() -> int:
    """0 where the kernel has no Landlock or it was switched off."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc.syscall(LANDLOCK_CREATE, None, 0, 1)))


def _allow(rules: int, place: Path, access: int) -> None:
    with suppress(FileNotFoundError):  # what is not there needs no permission
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        try:
            usable = access if place.is_dir() else access & ON_A_FILE
            _call(LANDLOCK_ADD, rules, 1, struct.pack("=Qi", usable, descriptor), 0)
        finally:
            os.close(descriptor)


def leave_network() -> bool:
    """Move this process into a network with no device; False where the machine does not allow that.

    Sockets that are open stay in the old network. Call it before there are threads.
    """
    if sys.platform != "linux":
        return False
    if _libc.unshare(CLONE_NEWNET) == 0:
        return True
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    with suppress(OSError):  # only so that the process still sees its own name
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def _no_new_privileges() -> None:
    if _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS was refused")


def _call(number: int, *arguments: int | bytes) -> int:
    """A system call by its number. Raises OSError."""
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *given))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number} failed")
    return result


def _try_here() -> dict[str, bool | int]:
    """Wall this process in as a reader's child is, try to get out, and tell what stood."""
    standing = Standing(namespace=leave_network(), landlock=only_files(), seccomp=no_sockets())
    refused = {"socket_refused": True, "file_refused": True}
    for name, attempt in (("socket_refused", socket.socket), ("file_refused", Path(__file__).read_bytes)):
        with suppress(PermissionError):
            attempt()
            refused[name] = False
    return {**asdict(standing), **refused}


if __name__ == "__main__":
    import json

    result = _try_here()
    sys.stdout.write(json.dumps(result))
