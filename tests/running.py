"""A whole installation for tests: its own data folder, started by the supervisor as a newcomer would."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
SMALL_MODEL = "smollm2-135m-instruct-q4_1"
DEFAULT_MODEL = "qwen2.5-coder-1.5b-instruct-q4_k_m"
CHANGE_PASSWORD = "/profile/password"
PASSPHRASE = "a new and long enough passphrase"
# Compiling bytecode and loading models on a busy machine.
START_SECONDS = 240


class RunningHouse:
    """Start with `start()`, end with `stop()`. `passwords` are those of the first run, by user name."""

    def __init__(self, folder: Path, model: str = SMALL_MODEL, **environment: str) -> None:
        self.data, self.run = folder / "data", folder / "run"
        self.log = folder / "up.log"
        self.shares = folder / "shares"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "workers.settings",
            "MUNIMENT_DATA": str(self.data),
            "MUNIMENT_RUN": str(self.run),
            "MUNIMENT_PORT": str(self.port),
            "MUNIMENT_MODEL": model,
            "MUNIMENT_WATCH_ROOTS": str(self.shares),
            # Small models and small documents: tests do not need the reserve of a real site.
            "MUNIMENT_FREE_DISK_MB": "50",
            **environment,
        }
        self.passwords: dict[str, str] = {}
        self.trusted: ssl.SSLContext | bool = True
        self._process: subprocess.Popen[bytes] | None = None

    def manage(
        self, *args: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *args],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=timeout,
        )

    def prepare(self, migrate: bool = True) -> None:
        """Migrate and make the first accounts, libraries and documents."""
        if migrate:
            self.manage("migrate")
        printed = self.manage("first-run").stdout
        self.passwords = dict(re.findall(r"(\S+)\s+((?:[a-z2-9]{5}-){3}[a-z2-9]{5})", printed))
        assert self.passwords, printed

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "up"], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        self.wait_until_ready()

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.is_running(), self.log.read_text()[-3000:]
            if (states := self.states()) and all(part["state"] == "ready" for part in states.values()):
                return
            time.sleep(0.2)
        raise AssertionError(f"not ready after {seconds} s:\n{self.log.read_text()[-3000:]}")

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def states(self) -> dict[str, dict[str, Any]]:
        """What the supervisor says of each part, by name."""
        return states_in(self.run)

    def kill(self, name: str) -> None:
        """SIGKILL to one part and whatever it started."""
        os.killpg(self.states()[name]["pid"], signal.SIGKILL)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """One part stands still meanwhile, as on a machine that has no time for it. Keep it short.

        It holds no lock of the database: then nobody could write, and it is not the part that is tried.
        """
        group = self.states()[name]["pid"]
        os.killpg(group, signal.SIGSTOP)
        while not self._may_write():
            os.killpg(group, signal.SIGCONT)
            time.sleep(0.05)
            os.killpg(group, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(group, signal.SIGCONT)

    def _may_write(self) -> bool:
        database = self.data / "muniment.sqlite3"
        if not database.exists():
            return True
        with closing(sqlite3.connect(database, timeout=1, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
            connection.execute("ROLLBACK")
            return True

    def stop(self) -> None:
        if self._process and self.is_running():
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=60)

    def client(self, username: str) -> httpx.Client:
        """A signed-in browser without a window; a one-time password is changed on the way."""
        client = httpx.Client(base_url=self.url, verify=self.trusted, follow_redirects=True, timeout=60)
        password = self.passwords[username]
        self.post(client, "/sign-in", username=username, password=password)
        if client.get("/").url.path == CHANGE_PASSWORD:
            self.post(client, CHANGE_PASSWORD, old=password, new=PASSPHRASE, again=PASSPHRASE)
            self.passwords[username] = PASSPHRASE
        assert client.get("/profile").url.path == "/profile"
        return client

    @staticmethod
    def post(client: httpx.Client, path: str, **fields: str | list[str]) -> httpx.Response:
        """Send a form as the page at the client's address would."""
        client.get("/profile")  # sets the token's cookie, also for those who have to sign in
        token = client.cookies["muniment-csrf"]
        return client.post(path, data=fields, headers={"X-CSRFToken": token, "Referer": str(client.base_url)})


def states_in(run: Path) -> dict[str, dict[str, Any]]:
    """What a supervisor says of each of its parts, by name."""
    try:
        parts = json.loads((run / "state.json").read_text())["processes"]
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {part["name"]: part for part in parts}


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Each another one."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
