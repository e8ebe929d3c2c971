"""A real PostgreSQL for tests: a cluster in a folder, served on a socket there, ended with the tests."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.running import free_port

# The server refuses root, and a test machine often is one.
ACCOUNT = "postgres"


class Cluster:
    """Start with `start()`, end with `stop()`.

    Who reaches its socket is trusted. With a file that holds the superuser's `password` it listens on an
    address of the loopback too, where everybody is asked for one: at the usual port of an address of its own,
    else at a free one.
    """

    def __init__(
        self,
        folder: Path,
        password: Path | None = None,
        address: str = "127.0.0.1",
        options: Sequence[str] = (),
    ) -> None:
        self.folder, self.data, self.password, self.address = folder, folder / "data", password, address
        self.port = free_port() if password and address == "127.0.0.1" else 5432
        self._options = options
        self._server: subprocess.Popen[bytes] | None = None

    def url(self, role: str, database: str = "muniment") -> str:
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT)
        if not self.data.exists():
            self._run("initdb", "-D", str(self.data), "-U", "postgres", "--encoding=UTF8", *self._asked())
        options = ["-c", f"unix_socket_directories={self.folder}", "-c", f"port={self.port}"]
        options += ["-c", f"listen_addresses={self.address if self.password else ''}"]
        options += self._options
        log = (self.folder / "server.log").open("ab")
        self._server = subprocess.Popen(
            self._as_account("postgres", "-D", str(self.data), *options), stdout=log, stderr=log
        )
        log.close()
        for _try in range(200):
            if self._server.poll() is None and self._answers():
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text()[-2000:])

    def _asked(self) -> Sequence[str]:
        if not self.password:
            return ["--auth=trust"]
        readable = self.folder / "password"
        shutil.copyfile(self.password, readable)
        if os.geteuid() == 0:
            shutil.chown(readable, ACCOUNT)
        return ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={readable}"]

    def stop(self, immediately: bool = False) -> None:
        """Fast shutdown: connections are ended, the data is flushed; immediately is as if the power went."""
        if self._server and self._server.poll() is None:
            os.kill(self.pid(), signal.SIGQUIT if immediately else signal.SIGINT)
            self._server.wait(timeout=30)

    def pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def sql(self, statement: str, database: str = "postgres", role: str = "postgres") -> str:
        """What psql prints, a row a line, columns parted by |."""
        return self._run(
            *("psql", "-h", str(self.folder), "-p", str(self.port), "-U", role, "-d", database),
            *("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement),
        )

    def script(self, path: Path, **variables: str) -> str:
        """Run a file by psql as the superuser, with psql's variables."""
        given = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
        place = ["-h", str(self.folder), "-p", str(self.port), "-U", "postgres", "-X", "-q"]
        done = subprocess.run(
            self._as_account("psql", *place, *given, "-f", "-"),
            input=path.read_text(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def dump(self, database: str) -> str:
        """Everything in it, as pg_dump writes it."""
        place = ("-h", str(self.folder), "-p", str(self.port), "-U", "postgres")
        return self._run("pg_dump", *place, database)

    def _answers(self) -> bool:
        ready = self._as_account("pg_isready", "-h", str(self.folder), "-p", str(self.port), "-q")
        return subprocess.run(ready, check=False).returncode == 0

    def _run(self, *command: str) -> str:
        done = subprocess.run(self._as_account(*command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def _as_account(self, name: str, *arguments: str) -> Sequence[str]:
        prefix = ["runuser", "-u", ACCOUNT, "--"] if os.geteuid() == 0 else []
        return [*prefix, _program(name), *arguments]


def _program(name: str) -> str:
    """On the path, or where Debian keeps the newest version."""
    if found := shutil.which(name):
        return found
    places = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(places, key=lambda path: int(path.parents[1].name), default=None)
    assert newest, f"{name} is missing: install the package postgresql"
    return str(newest)
