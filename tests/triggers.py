"""The triggers on the trail, broken and removed as somebody with the whole database could do it."""

from __future__ import annotations

from django.db import connection

from muniment.audit.queries import GUARDS


def guards() -> tuple[str, ...]:
    """Names of the triggers that keep the trail append-only in the database of this run."""
    return tuple(GUARDS[connection.vendor])


def drop_trigger(name: str) -> None:
    table = GUARDS[connection.vendor].get(name, "audit_event")
    on = "" if connection.vendor == "sqlite" else f" ON {table}"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{on}")


def break_the_trail() -> None:
    """The next events cannot be written, as on a full disk; the test's rollback mends it."""
    if connection.vendor == "sqlite":
        begin, fail = "BEFORE INSERT ON audit_event BEGIN", "SELECT RAISE(ABORT, 'disk full'); END"
    else:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'disk full'; END $$"
            )
        begin, fail = "BEFORE INSERT ON audit_event FOR EACH ROW", "EXECUTE FUNCTION full_disk()"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TRIGGER broken {begin} {fail}")


def mend_the_trail() -> None:
    drop_trigger("broken")
