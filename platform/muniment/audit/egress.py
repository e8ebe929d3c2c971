"""A tripwire for code that calls out: Python's sockets reach the loopback and the peers in the settings.

This is not the boundary. It sees what goes through Python's own `socket`; a native library, or a program that
is started, passes it unseen. The boundary is the kernel's: `workers/walls.py` around readers and the
engine, and the site's network. What this adds is a name: who tried, where to, and an event of the trail.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import ipaddress
import logging
import os
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connections

from muniment.audit import actions
from muniment.audit.actions import Outcome, Stage
from muniment.audit.services import SITE, record_alone
from muniment.scope import Origin, Scope

log = logging.getLogger(__name__)

# A library that calls out every second must not fill the trail: equal attempts are counted together.
COLLECT_SECONDS = 1.0
KEPT = 1000
RESOLVED_SECONDS = 60
LOCAL_FAMILIES = {socket.AF_UNIX, getattr(socket, "AF_NETLINK", socket.AF_UNIX)}
# A supervised part has its name from the file that shows it lives.
PROCESS = Path(os.environ.get("MUNIMENT_HEARTBEAT", "")).name or "command"

_attempts: deque[tuple[str, str, int]] = deque(maxlen=KEPT)
_recorder: threading.Thread | None = None


class EgressBlocked(PermissionError):
    """Code of this process wanted to reach an address that is no peer of this installation."""

    def __init__(self, host: str) -> None:
        super().__init__(
            errno.EPERM,
            f"Nothing leaves this installation: {host} is none of its peers, which the settings name",
        )


def peers() -> dict[str, str]:
    """The hosts that this installation may speak to, by what they are; without those on the loopback."""
    found = {
        "index": _host_of(settings.INDEX_URL),
        "engine": _host_of(settings.ENGINE_URL),
        "model": _host_of(settings.MODEL_URL),
        "broker": _host_of(settings.BROKER_URL),
        "web": settings.HOST,
    }
    for name, database in settings.DATABASES.items():
        hosts = str(database.get("HOST") or "").split(",")
        for number, host in enumerate(host for host in hosts if host and not host.startswith("/")):
            found[f"database {name}" + (f" {number + 1}" if number else "")] = host
    return {name: host for name, host in found.items() if host and not _is_here(host)}


def _host_of(url: str) -> str:
    return "" if url.startswith("unix:") else urlsplit(url).hostname or ""


@cache
def install() -> None:
    """Set the tripwire in this process, for good: Python takes no audit hook back."""
    hosts = frozenset(peers().values())
    sys.addaudithook(lambda event, arguments: _hook(hosts, event, arguments))
    atexit.register(record_attempts)


def _hook(hosts: frozenset[str], event: str, arguments: tuple[Any, ...]) -> None:
    # Called for everything that Python audits, imports and open files too: the usual way out is short.
    if not event.startswith("socket."):
        return
    look = _LOOKS.get(event)
    target = look(*arguments) if look else None
    if target is None:
        return
    host, port = target
    if not _may_reach(hosts, host):
        _remember(event.removeprefix("socket."), host, port)
        raise EgressBlocked(host)


def _address(sock: socket.socket, address: Any) -> tuple[str, int] | None:
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        return _named(address[0], address[1]) if isinstance(address, tuple) and len(address) > 1 else None
    # Everything else that is not local leaves too: another machine's virtual socket, a raw packet.
    return None if sock.family in LOCAL_FAMILIES else (f"family {int(sock.family)}", 0)


def _named(host: Any, port: Any = 0, *_: Any) -> tuple[str, int]:
    text = host.decode(errors="replace") if isinstance(host, bytes | bytearray) else str(host or "")
    return text, port if isinstance(port, int) else 0


def _name(host: Any, port: Any = 0, *_: Any) -> tuple[str, int] | None:
    """An address is its own meaning: nobody is asked for it."""
    named = _named(host, port)
    return None if _ip(named[0]) else named


_LOOKS: dict[str, Callable[..., tuple[str, int] | None]] = {
    "socket.connect": _address,
    "socket.sendto": _address,
    "socket.sendmsg": lambda sock, address: None if address is None else _address(sock, address),
    "socket.getaddrinfo": _name,
    "socket.gethostbyname": _name,
    "socket.gethostbyaddr": _named,
    "socket.getnameinfo": lambda address: _named(*address),
}


def _may_reach(hosts: frozenset[str], host: str) -> bool:
    if host in hosts or _is_here(host):
        return True
    address = _ip(host)
    return address is not None and any(address in _resolved(name, _minute()) for name in hosts)


def _is_here(host: str) -> bool:
    """The loopback, by name or address; an empty or unspecified one means this machine too."""
    address = _ip(host)
    if address is None:
        return host in {"", "localhost"}
    return address.is_loopback or address.is_unspecified


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _minute() -> int:
    return int(time.monotonic() // RESOLVED_SECONDS)


@lru_cache(maxsize=32)  # minutes that are over must not pile up
def _resolved(name: str, minute: int) -> frozenset[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """What a peer's name means now: a connection is made to an address, after the name was asked for."""
    with contextlib.suppress(OSError):
        found = (_ip(str(info[4][0])) for info in socket.getaddrinfo(name, None))
        return frozenset(address for address in found if address)
    return frozenset()


def _remember(kind: str, host: str, port: int) -> None:
    """Keep the attempt for the trail. It is written in a moment by a thread of its own: the caller may be
    in the middle of a transaction, an event loop or an import."""
    global _recorder
    _attempts.append((kind, host, port))
    log.warning("egress.blocked kind=%s port=%s process=%s", kind, port, PROCESS)
    if _recorder is None or not _recorder.is_alive():
        _recorder = threading.Thread(target=_record_soon, name="egress", daemon=True)
        _recorder.start()


def _record_soon() -> None:
    try:
        time.sleep(COLLECT_SECONDS)
        while record_attempts() and _attempts:
            time.sleep(COLLECT_SECONDS)
    finally:
        connections.close_all()


def record_attempts() -> int:
    """Write what was blocked since the last call to the trail; gives the number of events.

    What cannot be written now is kept for the next call.
    """
    counted: Counter[tuple[str, str, int]] = Counter()
    while _attempts:
        counted[_attempts.popleft()] += 1
    written = 0
    for (kind, host, port), times in counted.items():
        try:
            record_alone(
                Scope(tenant=SITE, origin=Origin(kind="system")),
                actions.EGRESS_BLOCKED,
                stage=Stage.DENIED,
                outcome=Outcome.DENIED,
                details={"kind": kind, "port": port, "process": PROCESS, "times": times},
                private={"host": host},
            )
            written += 1
        except (
            Exception
        ) as error:  # also where there is no database yet: the attempt itself was refused and logged
            log.warning("egress.not_recorded kind=%s port=%s why=%s", kind, port, type(error).__name__)
            _attempts.extend([(kind, host, port)] * times)
    return written
