"""A whole site for tests: each part of compose.yaml as processes of its own, with the settings and secrets
that compose gives it.

A container's name is an address of the loopback here, its volumes are folders, and it sees the secrets that
its service lists and no others. PostgreSQL, Valkey and the proxy are the real servers with the files of their
images; in the place of Qdrant's server, of which there is no wheel, stands the embedded index behind a key.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests import compose, valkey
from tests.postgres import Cluster
from tests.proxy import Proxy
from tests.running import ROOT, SMALL_MODEL, START_SECONDS, RunningHouse, states_in

NAME = "localhost"
# Where a second web part listens.
COPY_PORT = 8001
SERVERS = ("postgres", "valkey", "qdrant", "engine")
PARTS = ("engine", "web", "ingest", "answer", "upkeep", "sequencer")
MODELS = Path(os.environ.get("MUNIMENT_MODELS", ROOT / "var" / "models"))
# Not what compose gives: for small documents and short answers, so that tests are quick.
QUICK = {"MUNIMENT_ANSWER_TOKENS": "80", "MUNIMENT_FREE_DISK_MB": "50"}


class RunningSite(RunningHouse):
    """Start with `serve()`, `prepare()` and `start()`, end with `stop()`. Commands run as in `upkeep`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder, self.address = folder, loopback()
        self.secrets = folder / "secrets"
        self.services: dict[str, dict[str, Any]] = compose.site(
            MUNIMENT_SITE_NAME=NAME, MUNIMENT_MODEL=SMALL_MODEL, MUNIMENT_SECRETS=str(self.secrets)
        )["services"]
        self.parts: dict[str, subprocess.Popen[bytes]] = {}
        self.cluster = Cluster(
            folder / "postgres",
            self.secrets / "database_password",
            self.address,
            self.services["postgres"]["command"][1:],
        )
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._proxy: Proxy | None = None
        subprocess.run([sys.executable, "deploy/site_secrets.py", str(self.secrets)], cwd=ROOT, check=True)
        self.data.mkdir()
        self.environment = self.environment_of("upkeep")

    def environment_of(self, service: str, copy: str = "") -> dict[str, str]:
        """What its process sees: nothing of ours but where Python is. A copy has its own run folder."""
        given = self.services[service]["environment"] or {}
        mounted = self._mount(service, self.folder / "mounted" / service)
        run = self.run / (copy or service)
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(run),
            **QUICK,
            **{name: self._here(str(value), run, mounted) for name, value in given.items()},
        }

    def _here(self, value: str, run: Path, mounted: Path) -> str:
        """A value of the compose file, for processes that share one machine."""
        servers = "|".join(SERVERS)
        for there, here in (
            (rf"(?:(?<=^)|(?<=[@/]))(?:{servers})(?=:|$)", self.address),
            (r"^0\.0\.0\.0\b", self.address),
            (r"^172\.30\.251\.2$", "127.0.0.1"),  # where the proxy calls from
            (r"^/run/secrets\b", str(mounted)),
            (r"^/run/muniment\b", str(run)),
            (r"^/data\b", str(self.data)),
            (r"^/seal\b", str(self.folder / "seal")),
            (r"^/models\b", str(MODELS)),
        ):
            value = re.sub(there, here, value)
        return value

    def _mount(self, service: str, target: Path) -> Path:
        """The secrets that the service lists."""
        target.mkdir(parents=True, exist_ok=True)
        for secret in self.services[service].get("secrets", []):
            if not (target / secret["source"]).exists():
                shutil.copy2(self.secrets / secret["source"], target)
        return target

    def serve(self) -> None:
        """The servers that are not ours, the roles and the tables."""
        for name in ("valkey", "qdrant"):
            (self.folder / name).mkdir()
            self._mount(name, self.folder / name / "secrets")
        self.start_servers()
        self.make_roles()
        self.run_once("migrate")

    def start_servers(self) -> None:
        self.cluster.start()
        self._servers = {"valkey": self._start_valkey(), "qdrant": self._start_qdrant()}

    def stop_servers(self) -> None:
        for server in self._servers.values():
            server.terminate()
            server.wait(timeout=30)
        self._servers.clear()
        self.cluster.stop()

    def make_roles(self) -> None:
        settings = self.environment_of("roles") | {"SECRETS": str(self.folder / "mounted" / "roles")}
        subprocess.run(["sh", "deploy/postgres/roles.sh"], cwd=ROOT, env=settings, check=True)

    @contextlib.contextmanager
    def without_broker(self) -> Iterator[None]:
        """The broker has ended, and comes back with what it was told."""
        self._servers["valkey"].terminate()
        self._servers["valkey"].wait(timeout=30)
        try:
            yield
        finally:
            self._servers["valkey"] = self._start_valkey()

    def _start_valkey(self) -> subprocess.Popen[bytes]:
        return valkey.start(self.folder / "valkey", self.address)

    def _start_qdrant(self) -> subprocess.Popen[bytes]:
        folder = self.folder / "qdrant"
        settings = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"}
        settings |= {"SECRETS": str(folder / "secrets"), "QDRANT": sys.executable}
        serving = ["-m", "tests.keyed_index", "--host", self.address, "--port", "6333"]
        with (folder / "qdrant.log").open("ab") as log:
            return subprocess.Popen(
                ["sh", "deploy/qdrant/start.sh", *serving, "--folder", str(folder / "storage")],
                cwd=ROOT,
                env=settings,
                stdout=log,
                stderr=log,
            )

    def run_once(self, service: str, **changed: str) -> None:
        """A service that does one thing and ends."""
        command = [sys.executable, "manage.py", *self.services[service]["command"]]
        settings = self.environment_of(service) | changed
        done = subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def prepare(self, migrate: bool = False) -> None:
        super().prepare(migrate)

    def start(self) -> None:
        for name in PARTS:
            self.start_part(name)
        self._proxy = self.start_proxy("proxy", 8000)
        self.url = f"https://{NAME}:{self._proxy.https}"
        self.wait_until_ready()
        self.wait_for(self._proxy)
        self.trusted = self._proxy.trusted()

    def start_proxy(self, folder: str, port: int) -> Proxy:
        """Before the web part that listens at this port."""
        place = self.folder / folder
        place.mkdir(exist_ok=True)
        settings = {name: str(value) for name, value in self.services["proxy"]["environment"].items()}
        return Proxy.start(place, (self.address, port), settings)

    def start_part(self, name: str, **changed: str) -> subprocess.Popen[bytes]:
        """As the container's command starts it; its output is in `logs/NAME.log`."""
        self.log.parent.joinpath("logs").mkdir(exist_ok=True)
        with self.log_of(name).open("ab") as log:
            part = subprocess.Popen(
                [sys.executable, "manage.py", *self.services[name]["command"]],
                cwd=ROOT,
                env=self.environment_of(name) | changed,
                stdout=log,
                stderr=log,
            )
        self.parts[name] = part
        return part

    def start_copy(self, name: str) -> str:
        """A second one of a part, as on another host, with process ids of its own; gives its name here."""
        copy = f"{name}-2"
        alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        alone += [] if os.geteuid() == 0 else ["--map-root-user"]
        self.log.parent.joinpath("logs").mkdir(exist_ok=True)
        with self.log_of(copy).open("ab") as log:
            self.parts[copy] = subprocess.Popen(
                [*alone, sys.executable, "manage.py", *self.services[name]["command"]],
                cwd=ROOT,
                env=self.environment_of(name, copy) | {"MUNIMENT_PORT": str(COPY_PORT)},
                stdout=log,
                stderr=log,
            )
        return copy

    @contextlib.contextmanager
    def second_web(self) -> Iterator[str]:
        """A copy of the web part behind a proxy of its own; gives the address."""
        copy, proxy = self.start_copy("web"), self.start_proxy("second-proxy", COPY_PORT)
        try:
            self.wait_until_ready()
            self.wait_for(proxy)
            yield f"https://{NAME}:{proxy.https}"
        finally:
            self.kill_part(copy)
            proxy.stop()

    def pids(self) -> dict[str, int]:
        """The parts, the servers they need, and the proxy in front of them."""
        assert self._proxy
        started = {**self.parts, **self._servers, "proxy": self._proxy.process}
        return {"postgres": self.cluster.pid(), **{name: process.pid for name, process in started.items()}}

    def machine_of(self, name: str) -> str:
        """How leases name where a part runs: the boot, and whose process ids they are."""
        (process,) = psutil.Process(self.parts[name].pid).children()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}-{Path(f'/proc/{process.pid}/ns/pid').stat().st_ino}"

    def kill_part(self, name: str) -> None:
        """As a host that loses its power: all its processes at once."""
        part = self.parts.pop(name)
        part.kill()
        part.wait(timeout=20)

    def refusal(self, name: str, **changed: str) -> str:
        """What a part says that must not start with these settings; it may say one sentence and no more."""
        command = [sys.executable, "manage.py", *self.services[name]["command"]]
        settings = self.environment_of(name) | {"MUNIMENT_RUN": str(self.folder / "refused")} | changed
        done = subprocess.run(
            command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 1, done.stdout + done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        return done.stderr.strip()

    def log_of(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def wait_for(self, proxy: Proxy) -> None:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            with contextlib.suppress(OSError, httpx.HTTPError):
                address = f"https://{NAME}:{proxy.https}/health"
                if httpx.get(address, verify=proxy.trusted()).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(proxy.log.read_text())

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, part in self.parts.items():
                assert part.poll() is None, self.log_of(name).read_text()[-3000:]
            states = self.states()
            if len(states) == len(self.parts) and all(part["state"] == "ready" for part in states.values()):
                return
            time.sleep(0.2)
        raise AssertionError(f"not ready after {seconds} s: {self.states()}")

    def states(self) -> dict[str, dict[str, Any]]:
        told = {name: states_in(self.run / name) for name in self.parts}
        return {name: facts for name, states in told.items() for facts in states.values()}

    def stop_part(self, name: str) -> None:
        part = self.parts.pop(name)
        part.send_signal(signal.SIGTERM)
        part.wait(timeout=60)

    def stop(self) -> None:
        """As `docker compose down`: the parts first, then what they need."""
        for part in self.parts.values():
            part.send_signal(signal.SIGTERM)
        for part in self.parts.values():
            part.wait(timeout=60)
        self.parts.clear()
        if self._proxy:
            self._proxy.stop()
        self.stop_servers()


@contextlib.contextmanager
def served() -> Iterator[RunningSite]:
    """Servers, roles and tables of a site in a folder of its own, and no part of ours yet."""
    # Not below pytest's folder, which only its owner may enter: PostgreSQL runs as another account.
    with tempfile.TemporaryDirectory(prefix="muniment-site-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        site = RunningSite(folder)
        try:
            site.serve()
            yield site
        finally:
            site.stop()


def loopback() -> str:
    """An address of this machine where the usual ports are free, whatever else runs here."""
    while True:
        address = f"127.{random.randint(1, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        with contextlib.suppress(OSError), socket.create_server((address, 5432)):
            return address
