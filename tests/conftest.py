"""What all rooms' tests share: a data folder of their own, and real parts that are started once."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
import redis

from tests import roles, valkey
from tests.postgres import Cluster
from tests.running import RunningHouse

# Before Django reads its settings: tests never touch an installation's data. This is why pyproject.toml
# does not name the settings: pytest-django would read them before this file.
_HOME = Path(tempfile.mkdtemp(prefix="muniment-test-"))
os.environ["MUNIMENT_DATA"] = str(_HOME / "data")
os.environ["MUNIMENT_RUN"] = str(_HOME / "run")
os.environ.setdefault("MUNIMENT_CARRIERS", "folder,wheels")
os.environ["DJANGO_SETTINGS_MODULE"] = "workers.settings"
(_HOME / "run").mkdir(mode=0o700)
# `make test` runs the rooms' tests on both databases.
_POSTGRES = Cluster(_HOME / "postgres") if os.environ.get("MUNIMENT_TEST_DATABASE") == "postgresql" else None
if _POSTGRES:
    _HOME.chmod(0o755)
    _POSTGRES.start()
    for _role in ("muniment_web", "muniment_sequencer"):
        _POSTGRES.sql(f"CREATE ROLE {_role} NOLOGIN")
    os.environ["MUNIMENT_DATABASE_URL"] = _POSTGRES.url("postgres", "postgres")
django.setup()


@pytest.fixture(scope="session", autouse=True)
def _remove_home() -> Iterator[None]:
    yield
    if _POSTGRES:
        _POSTGRES.stop()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def _valkey() -> Iterator[Path]:
    """A real Valkey on the socket where the settings look for the broker."""
    from django.conf import settings

    with valkey.plain(Path(settings.BROKER_URL.removeprefix("unix:")), _HOME) as socket:
        yield socket


@pytest.fixture
def broker(_valkey: Path) -> Iterator[redis.Redis]:
    """The broker, empty; a client to look into it."""
    with redis.Redis(unix_socket_path=str(_valkey)) as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session", autouse=_POSTGRES is not None)
def _wall() -> Iterator[None]:
    """What comes through a door works as the site's role, which policies bind; a test itself sees all."""
    from muniment import wall

    real = wall.opening

    def opening(begun: bool) -> str:
        role = roles.serving.get() if wall._tenant.get() or wall._subject.get() else "NONE"
        return f"SET LOCAL ROLE {role}; {real(begun)}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wall, "opening", opening)
        yield


@pytest.fixture(autouse=True)
def _doors_closed() -> Iterator[None]:
    """A command that a test calls here stays within its tenant, as it would until its process ends."""
    from muniment.wall import within

    with within(None):
        yield


@pytest.fixture(scope="session", autouse=True)
def _empty_tables_past_the_trail() -> Iterator[None]:
    """Tests with real transactions leave rows, and the trail lets nobody remove its own: lift its guards."""
    from django.db.backends.base.operations import BaseDatabaseOperations

    flush = BaseDatabaseOperations.execute_sql_flush

    def unguarded(self: Any, sql_list: list[str]) -> None:
        with self.connection.cursor() as cursor:
            lift, again = _guards(self.connection.vendor, cursor)
            for statement in lift:
                cursor.execute(statement)
            flush(self, sql_list)
            for statement in again:
                cursor.execute(statement)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseDatabaseOperations, "execute_sql_flush", unguarded)
        yield


def _guards(vendor: str, cursor: Any) -> tuple[list[str], list[str]]:
    """What lifts the guards of the trail, and what puts them back."""
    if vendor == "sqlite":
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        guards = cursor.fetchall()
        return [f'DROP TRIGGER "{name}"' for name, _sql in guards], [sql for _name, sql in guards]
    cursor.execute(
        "SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'audit_%'"
        " AND NOT tgisinternal"
    )
    guards = cursor.fetchall()
    tables = sorted({table for table, _name in guards})
    return (
        [f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in tables],
        [f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}" for table, name in guards],
    )


@pytest.fixture
def no_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A broker that does not answer."""
    from django.conf import settings

    from muniment.jobs import broker, doorbell

    monkeypatch.setattr(settings, "BROKER_URL", f"unix:{_HOME}/nobody.sock")
    for cached in (broker.client, doorbell._celery):
        cached.cache_clear()
    yield
    for cached in (broker.client, doorbell._celery):
        cached.cache_clear()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """A whole installation with the small model, started once for all tests that need one."""
    # Long enough to look at an answer on its way, short enough for a machine that is busy with tests.
    house = RunningHouse(Path(tmp_path_factory.mktemp("house")), MUNIMENT_ANSWER_TOKENS="160")
    house.prepare()
    house.start()
    yield house
    house.stop()
