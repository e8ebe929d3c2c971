"""What is looked at before a part starts: each fault is a sentence that names the setting and the next step.

The doctor asks the same of an installation that runs. A start ends where going on would do harm: with another
version's database, a clock that breaks leases, a broker that everybody can use. The rest only warns.
"""

from __future__ import annotations

import errno
import os
import pkgutil
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import redis
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils.translation import gettext as _

from muniment.jobs import broker
from muniment.wall import fault_of_role
from workers.guard import CannotServe

SERVE_PEOPLE = {"web", "ingest", "answer", "upkeep"}
# Each request of the web runs in a thread of its own: without a pool each would open a connection, which
# costs the database's server more than most pages do.
WEB_POOL = 16
# Celery closes a thread's connection after each task. As many as 32 threads, each with a watch for Stop, may
# want one at once.
ANSWER_POOL = 64
# Of one of each part when all are busy: both pools, each with one more while it starts, and what ingest and
# upkeep open.
CONNECTIONS = WEB_POOL + 1 + ANSWER_POOL + 1 + 4 + 6
CLOCK_SECONDS = 5
FULL = {errno.ENOSPC, errno.EDQUOT}
# Older servers have holes that a client can use, in scripts and in waiting for a queue (CVE-2025-49844,
# CVE-2026-23479). Valkey mends two lines beside each other.
OLDEST_VALKEY, OLDEST_VALKEY_9 = (8, 1, 7), (9, 0, 4)
OLDEST_REDIS = (8, 6, 3)


class DatabaseAway(CannotServe):
    """The database cannot be reached, or is starting: whoever needs it waits."""


def check(names: Iterable[str]) -> list[str]:
    """What to warn of before these parts start. Raises CannotServe where they must not."""
    if not SERVE_PEOPLE & set(names):
        return []
    require()
    with _asking_the_database():
        warnings = [clock_fault(clock_ahead()), connections_fault()]
    warnings += [broker_fault(), secrets_fault()]
    return [warning for warning in warnings if warning]


def require() -> None:
    """Raise CannotServe where a part that serves people must not start."""
    with _asking_the_database():
        faults = [fault_of_role(), schema_fault(), clock_fault(clock_ahead(), refuses=True)]
    faults.append(broker_door_fault())
    if fault := next(filter(None, faults), ""):
        raise CannotServe(fault)


@contextmanager
def _asking_the_database() -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        kind = DatabaseAway if _is_away(error) else CannotServe
        raise kind(database_fault(error)) from error
    finally:
        connection.close()  # the parts are forked from here


def check_folder() -> None:
    """Raise CannotServe where nothing can be written in the data folder; a full one is told to people."""
    error = cannot_write(Path(settings.DATA_DIR))
    if error and error.errno not in FULL:
        raise CannotServe(
            _(
                "Nothing can be written in the folder that MUNIMENT_DATA names (%(why)s): give the folder or "
                "the volume to the account that runs Muniment."
            )
            % {"why": error.strerror}
        )


def cannot_write(folder: Path) -> OSError | None:
    """Why nothing can be written in a folder; None where it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written")
    except OSError as error:
        return error
    return None


def _is_away(error: DatabaseError) -> bool:
    """What a server says itself is FATAL; that it starts, stops or recovers passes."""
    if connection.vendor != "postgresql" or not isinstance(error, OperationalError):
        return False
    passes = re.search("starting up|shutting down|recovery", str(error))
    return bool(passes) or "FATAL" not in str(error)


def database_fault(error: DatabaseError) -> str:
    """What a database that cannot be used says, as the next step."""
    if not isinstance(error, OperationalError):
        return _(
            "The database refuses its own tables to this role: run `manage.py migrate` again as the owner, "
            "which gives the roles their rights."
        )
    if re.search("too many clients|connection slots|too many connections", str(error)):
        return _(
            "The database has no connection left: raise max_connections of PostgreSQL, or run fewer copies "
            "of the parts."
        )
    return _(
        "The database does not answer or refuses this role: start it, and see MUNIMENT_DATABASE_URL and "
        "the file that MUNIMENT_DATABASE_PASSWORD_FILE names."
    )


def schema_fault() -> str:
    known, applied = _known_migrations(), set(MigrationRecorder(connection).applied_migrations())
    if applied - known:
        return _("The database was used by a newer version of Muniment: install that version again.")
    if missing := len(known - applied):
        how = "`make up`" if connection.vendor == "sqlite" else "`docker compose run --rm migrate`"
        return _(
            "%(n)s changes of the database are not made yet: %(how)s makes them, or `manage.py migrate` as "
            "the role that owns the tables."
        ) % {"n": missing, "how": how}
    return ""


def _known_migrations() -> set[tuple[str, str]]:
    """Of this version, by the names of their files: loading them takes longer than all else here."""
    known = set()
    for app in apps.get_app_configs():
        try:
            package = import_module(f"{app.name}.migrations")
        except ModuleNotFoundError:
            continue
        known |= {(app.label, found.name) for found in pkgutil.iter_modules(package.__path__)}
    return known


def clock_ahead() -> float:
    """Seconds by which the database server's clock is ahead of ours; 0 where both are one."""
    if connection.vendor != "postgresql":
        return 0.0
    with connection.cursor() as cursor:
        before = time.time()
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        (told,) = cursor.fetchone()
        return float(told) - (before + time.time()) / 2


def clock_fault(ahead: float, refuses: bool = False) -> str:
    """Parts hold their work for a while by their own clocks: one that is far off takes what others hold."""
    if abs(ahead) <= (settings.LEASE_SECONDS / 2 if refuses else CLOCK_SECONDS):
        return ""
    return _(
        "The clock of this machine is %(seconds)s s off the database server's: set both by a time server."
    ) % {"seconds": round(abs(ahead))}


def connections_fault() -> str:
    """Whether PostgreSQL gives out as many connections as one of each part may open, and has some left."""
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT least("
            " current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
            " - coalesce(current_setting('reserved_connections', true)::int, 0),"
            " nullif(rolconnlimit, -1), nullif(datconnlimit, -1)),"
            " (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL)"
            " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
        )
        limit, opened = cursor.fetchone()
    words = {"limit": limit, "need": CONNECTIONS, "opened": opened}
    if limit < CONNECTIONS:
        return (
            _(
                "The database gives out %(limit)s connections, and one of each part may need %(need)s: raise "
                "max_connections of PostgreSQL."
            )
            % words
        )
    if opened > 0.9 * limit:
        return (
            _(
                "%(opened)s of the database's %(limit)s connections are open: raise max_connections of "
                "PostgreSQL, or run fewer copies of the parts."
            )
            % words
        )
    return ""


def broker_door_fault() -> str:
    """Whether a broker on a network lets everybody in, or not even us. One that is away is waited for."""
    if not settings.BROKER_PASSWORD:
        return ""  # our own, on a socket or the loopback
    try:
        with broker.stranger() as stranger:
            stranger.ping()
        return _(
            "The broker lets everybody in without a password: start it with the users of "
            "deploy/valkey/users.acl, and set `user default off`."
        )
    except redis.RedisError:
        pass
    try:
        broker.client().ping()
    except redis.AuthenticationError:
        return _(
            "The broker refuses the user %(user)s: see MUNIMENT_BROKER_USER and the file that "
            "MUNIMENT_BROKER_PASSWORD_FILE names, and start the broker again after a change."
        ) % {"user": settings.BROKER_USER or "default"}
    except redis.RedisError:
        pass
    return ""


def broker_fault() -> str:
    """Whether the broker is too old, or drops messages when it is full; "" where it does not say."""
    try:
        facts = broker.client().info()
    except redis.RedisError:
        return ""  # the web's user may not ask; a broker that is away is waited for
    name, version, floor = broker_version(facts)
    if version_numbers(version) < floor:
        words = {"name": name, "version": version, "floor": ".".join(map(str, floor))}
        return _("%(name)s %(version)s has known holes: use %(floor)s or newer.") % words
    if facts.get("maxmemory_policy") != "noeviction":
        return _("The broker drops messages when its memory is full: set its maxmemory-policy to noeviction.")
    return ""


def broker_version(facts: Mapping[str, Any]) -> tuple[str, str, tuple[int, ...]]:
    """Name, version and the oldest version that is accepted."""
    if facts.get("server_name") == "valkey":
        version = str(facts["valkey_version"])
        return "Valkey", version, OLDEST_VALKEY_9 if version_numbers(version) >= (9,) else OLDEST_VALKEY
    return "Redis", str(facts["redis_version"]), OLDEST_REDIS


def version_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def secrets_fault() -> str:
    """Which files of secrets others can read, by the settings that name them."""
    if readable := sorted(_readable_by_others()):
        return _(
            "Others can read the secrets in the files that these settings name: %(names)s. Give the files "
            "the mode 600."
        ) % {"names": ", ".join(readable)}
    return ""


def _readable_by_others() -> Iterator[str]:
    for name, value in os.environ.items():
        if name.startswith("MUNIMENT_") and name.endswith(("_PASSWORD_FILE", "_KEY_FILE")):
            path = Path(value)
            if path.is_file() and path.stat().st_mode & 0o077:
                yield name
