"""The roles of a site, made by the image's own script in a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Cluster

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("owner", "web", "worker", "sequencer")


class Server(Cluster):
    """A server that asks everybody for a password, and the folder of secrets that made it so."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        for name in ("database_password", *(f"database_{role}_password" for role in NAMES)):
            (self.secrets / name).write_text(f"{name}-of-the-test\n")
        folder.chmod(0o755)  # the server runs as another account
        super().__init__(folder, self.secrets / "database_password")

    def environment(self) -> dict[str, str]:
        place = {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "SECRETS": str(self.secrets)}
        return {"PATH": os.environ["PATH"], "LC_ALL": "C", **place}

    def make_roles(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "deploy" / "postgres" / "roles.sh")],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, role: str, statement: str, database: str = "muniment", password: str = "") -> str:
        """What psql prints for a role; raises AssertionError with what the server said."""
        secret = "database_password" if role == "postgres" else f"database_{role}_password"
        done = subprocess.run(
            [
                *("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement),
                *("-U", role if role == "postgres" else f"muniment_{role}"),
            ],
            env={**self.environment(), "PGPASSWORD": password or (self.secrets / secret).read_text().strip()},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="muniment-roles-"))
    running = Server(folder)
    try:
        running.start()
        done = running.make_roles()
        assert done.returncode == 0, done.stderr
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_each_role_signs_in_with_its_own_password(server: Server) -> None:
    for role in NAMES:
        assert server.ask(role, "SELECT current_user") == f"muniment_{role}"


def test_another_password_is_refused(server: Server) -> None:
    for role in NAMES:
        with pytest.raises(AssertionError, match="password authentication failed"):
            server.ask(role, "SELECT 1", password="database_password-of-the-test")


def test_no_role_has_a_power_over_the_server(server: Server) -> None:
    powers = """
        SELECT count(*) FROM pg_roles WHERE rolname LIKE 'muniment%'
        AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls)
    """
    assert server.ask("postgres", powers) == "0"
    members = """
        SELECT count(*) FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = member
        WHERE rolname LIKE 'muniment%'
    """
    assert server.ask("postgres", members) == "0"


@pytest.mark.parametrize("role", ["web", "worker", "sequencer"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMP TABLE mine (id int)",
        "CREATE EXTENSION pg_trgm",
        "ALTER ROLE muniment_owner PASSWORD 'x'",
        "SET ROLE muniment_owner",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY (SELECT 1) TO PROGRAM 'id'",
    ],
)
def test_who_serves_people_may_make_nothing(server: Server, role: str, statement: str) -> None:
    with pytest.raises(AssertionError, match=r"permission denied|must be"):
        server.ask(role, statement)


def test_the_owner_makes_tables_and_others_get_only_what_they_are_given(server: Server) -> None:
    server.ask("owner", "CREATE TABLE IF NOT EXISTS trail (id int)")
    with pytest.raises(AssertionError, match="permission denied for table"):
        server.ask("web", "SELECT * FROM trail")
    server.ask("owner", "GRANT SELECT ON trail TO muniment_web")
    assert server.ask("web", "SELECT count(*) FROM trail") == "0"
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert server.ask("postgres", owners) == "muniment_owner"


def test_no_role_reaches_another_database(server: Server) -> None:
    for role in NAMES:
        with pytest.raises(AssertionError, match="permission denied for database"):
            server.ask(role, "SELECT 1", database="postgres")


def test_run_again_it_changes_passwords_and_nothing_else(server: Server) -> None:
    server.ask("owner", "CREATE TABLE IF NOT EXISTS kept (id int)")
    (server.secrets / "database_web_password").write_text("another-password-of-the-test\n")
    done = server.make_roles()
    assert done.returncode == 0, done.stderr
    assert server.ask("web", "SELECT current_user", password="another-password-of-the-test") == "muniment_web"
    with pytest.raises(AssertionError, match="password authentication failed"):
        server.ask("web", "SELECT 1", password="database_web_password-of-the-test")
    assert server.ask("owner", "SELECT count(*) FROM kept") == "0"


def test_no_password_is_in_the_servers_log(server: Server) -> None:
    log = (server.folder / "server.log").read_text()
    assert "-of-the-test" not in log


def test_a_missing_secret_is_told(server: Server) -> None:
    secret = server.secrets / "database_worker_password"
    before = secret.read_text()
    secret.unlink()
    try:
        done = server.make_roles()
    finally:
        secret.write_text(before)
    assert done.returncode == 1
    assert done.stderr.startswith("The secret database_worker_password is missing or empty: run make")
