"""A real PostgreSQL for tests: a cluster in a folder, served on a socket there, ended with the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

# The server refuses root, and a test machine often is one.
ACCOUNT = "postgres"


class Cluster:
    """Start with `start()`, end with `stop()`. Who reaches its socket is trusted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self._server: subprocess.Popen[bytes] | None = None

    def url(self, role: str, database: str = "muniment") -> str:
        return f"postgresql://{role}@/{database}?host={self.folder}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT)
        if not self.data.exists():
            self._run("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8")
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}"]
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

    def stop(self) -> None:
        """Fast shutdown: connections are ended, the data is flushed."""
        if self._server:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            os.kill(pid, 2)
            self._server.wait(timeout=30)

    def sql(self, statement: str, database: str = "postgres", role: str = "postgres") -> str:
        """What psql prints, a row a line, columns parted by |."""
        return self._run(
            *("psql", "-h", str(self.folder), "-U", role, "-d", database),
            *("-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement),
        )

    def script(self, path: Path, **variables: str) -> str:
        """Run a file by psql as the superuser, with psql's variables."""
        given = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
        socket = ["-h", str(self.folder), "-U", "postgres", "-X", "-q"]
        done = subprocess.run(
            self._as_account("psql", *socket, *given, "-f", "-"),
            input=path.read_text(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _answers(self) -> bool:
        ready = self._as_account("pg_isready", "-h", str(self.folder), "-q")
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
    found = shutil.which(name) or next(
        iter(sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)), None
    )
    assert found, f"{name} is missing: install the package postgresql"
    return found
