"""Where the database is: SQLite in the data folder, or a site's PostgreSQL named by MUNIMENT_DATABASE_URL."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from muniment.environment import secret, whole_number

URL = "MUNIMENT_DATABASE_URL"
PASSWORD = "MUNIMENT_DATABASE_PASSWORD"  # noqa: S105 - the name of a setting, not a password
CONNECT_SECONDS = 5
# Connections that the threads of a process share; 0 gives each thread its own, which it keeps for a minute.
POOL = "MUNIMENT_DATABASE_POOL"
POOL_SECONDS = 5
# What a query may ask of the server besides its place: how the connection is protected, and by whom.
OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def default(data: Path) -> dict[str, Any]:
    """The entry `default` of Django's DATABASES."""
    url = os.environ.get(URL, "")
    return _postgresql(url) if url else sqlite(data)


def sqlite(data: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": data / "muniment.sqlite3",
        # In memory it would know neither other processes nor waiting for a lock.
        "TEST": {"NAME": data / "test.sqlite3"},
        "OPTIONS": {
            # Several processes write: take the write lock at BEGIN, so that none fails half-way.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA recursive_triggers=ON;"
                "PRAGMA foreign_keys=ON; PRAGMA cache_size=-4000; PRAGMA temp_store=MEMORY;"
            ),
        },
    }


def _postgresql(url: str) -> dict[str, Any]:
    """From postgresql://ROLE@HOST:PORT/NAME, or postgresql://ROLE@/NAME?host=/folder/of/its/socket."""
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError as error:
        raise ImproperlyConfigured(f"{URL} has a port that is no number.") from error
    asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    pool = whole_number(POOL, 0)
    name, host = parts.path.strip("/"), asked.pop("host", None) or parts.hostname
    if parts.scheme not in {"postgresql", "postgres"} or not (name and host and parts.username):
        raise ImproperlyConfigured(f"{URL} must be like postgresql://ROLE@HOST:5432/NAME.")
    if parts.password:
        raise ImproperlyConfigured(
            f"{URL} must not hold a password, which others could read: put it into a file and name that "
            f"with {PASSWORD}_FILE."
        )
    if unknown := sorted(set(asked) - set(OPTIONS)):
        raise ImproperlyConfigured(f"{URL} has an unknown option {unknown[0]}: use {', '.join(OPTIONS)}.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(name),
        "USER": unquote(parts.username),
        # Empty where no file is named: then the server knows the operating system's account.
        "PASSWORD": secret(PASSWORD),
        "HOST": unquote(host),
        "PORT": str(port),
        # A cursor of the server lives in one transaction; what reads outside of one would lose it.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "CONN_MAX_AGE": 0 if pool else 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "muniment",
            **({"pool": {"min_size": 1, "max_size": pool, "timeout": POOL_SECONDS}} if pool else {}),
            **asked,
        },
    }


def release_connections(pooled: bool = False) -> None:
    """Close this thread's connections before a long wait, or with `pooled` those that others may share.

    One within a transaction stays.
    """
    for connection in connections.all(initialized_only=True):
        if connection.in_atomic_block or (pooled and not connection.settings_dict["OPTIONS"].get("pool")):
            continue
        connection.close()
