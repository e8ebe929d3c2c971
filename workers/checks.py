"""Questions the supervisor asks a part to learn whether it serves. Each answers within seconds."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from workers import heartbeat

SECONDS = 5.0
Check = Callable[[], bool]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SECONDS)
        self.sock.connect(self._path)


def serves_http(url: str, path: str) -> Check:
    """True when GET `path` is answered, but not with 5xx. `url` is `unix:/socket` or of http(s)."""

    def check() -> bool:
        if url.startswith("unix:"):
            connection: http.client.HTTPConnection = _UnixConnection(url.removeprefix("unix:"))
        else:
            place = urlsplit(url)
            kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
            connection = kind(place.netloc, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Connection": "close"})
            return connection.getresponse().status < 500

    return check


def answers_ping(path: Path) -> Check:
    """True when a Valkey or Redis server at the socket answers PING, which it does not while loading."""

    def check() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS)
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")

    return check


def beats(*paths: Path) -> Check:
    """True while all these heartbeat files are renewed."""
    return lambda: all(map(heartbeat.fresh, paths))
