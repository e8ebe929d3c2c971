"""The second wall: PostgreSQL itself shows a statement the rows of one tenant, or of none.

`Scope` is the first wall: every function filters by it. Beneath it each table with a tenant has a row-level
policy. A door (a request, a task, a command) opens the wall for one tenant; a statement that came through no
door sees nothing. Each statement carries the tenant of its own transaction along, so nothing is left on a
connection that others use next. On SQLite, one machine's database, there is no such wall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from django.db import connections, migrations
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.signals import connection_created

_tenant: ContextVar[UUID | None] = ContextVar("muniment.wall.tenant", default=None)
_subject: ContextVar[str] = ContextVar("muniment.wall.subject", default="")

# Tables without a policy, and why nothing of a tenant is seen there.
EXEMPT = {
    "tenancy_tenant": "who works for all tenants goes through them one by one, and starts here",
    "jobs_job": "one queue for all tenants: ids, kinds and states, no content",
    "accounts_failedsignin": "keyed hashes of names and addresses, kept for minutes",
    "django_session": "opaque; a session is found before its person's tenant is known",
    "documents_generation": "the site's own index: numbers, models and counts, no tenant's",
    "audit_pending": "a queue for all tenants: ids, no content",
    "audit_checkpoint": "signed sizes and roots of all tenants' logs, no content",
    "audit_key": "the log's public keys",
    "registry_engine": "the site's own engine",
    "registry_check": "the site's own health",
    "registry_report": "the site's own reports",
    "registry_calibration": "numbers of the site's own embedders",
    "django_migrations": "the schema",
    "django_content_type": "the schema",
    "auth_permission": "the schema",
    "auth_group": "not used",
    "auth_group_permissions": "not used",
}

# A transaction that failed takes nothing else before it is taken back.
CONTROL = ("SAVEPOINT", "ROLLBACK", "RELEASE")
SETTING = "NULLIF(current_setting('muniment.tenant', true), '')::uuid"
SUBJECT = "convert_from(decode(current_setting('muniment.subject', true), 'hex'), 'UTF8')"


# Who serves people, and what they may do. Nobody but migrations changes a past event or the schema, and only
# the sequencer writes the sealed log.
SERVING = ("muniment_web", "muniment_worker")
SEQUENCER = "muniment_sequencer"
SEALED = ("audit_leaf", "audit_checkpoint", "audit_key")
QUEUE = "audit_pending"
RIGHTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "REVOKE UPDATE, DELETE ON audit_event FROM {role}",
    "REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {role}",
)
RIGHTS_AT_THE_LOG = (f"REVOKE INSERT, UPDATE, DELETE ON {', '.join(SEALED)}, {QUEUE} FROM {{role}}",)
SEQUENCER_RIGHTS = ("GRANT SELECT ON audit_event, django_migrations TO {role}",)
SEQUENCER_RIGHTS_AT_THE_LOG = (
    f"GRANT SELECT ON {', '.join(SEALED)}, {QUEUE} TO {{role}}",
    f"GRANT INSERT ON {', '.join(SEALED)} TO {{role}}",
    f"GRANT DELETE ON {QUEUE} TO {{role}}",
)


@contextmanager
def within(tenant: UUID | None) -> Iterator[None]:
    """Open the wall for a tenant, with None for nobody, and put it back as it was."""
    before = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(before)


def stay_within(tenant: UUID | None) -> None:
    """Open the wall until this context ends: for a command, which is one person's until it ends."""
    _tenant.set(tenant)


@contextmanager
def looking_for(subject: str) -> Iterator[None]:
    """Show one person, by name or id, whose tenant is not known yet: who signs in, or has a session."""
    before = _subject.set(subject)
    try:
        yield
    finally:
        _subject.reset(before)


def opening(begun: bool) -> str:
    """What is said before a statement, in the transaction that has `begun`, or that the statement makes.

    A fresh transaction looks for nobody; in one that has begun somebody may have been looked for before.
    """
    tenant, subject = _tenant.get(), _subject.get()
    said = f"SET LOCAL muniment.tenant = '{tenant or ''}'; "
    if begun or subject:
        said += f"SET LOCAL muniment.subject = '{subject.encode().hex()}'; "
    return said


def _walled(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """One round trip: several statements sent at once are one transaction, where there is none already."""
    begun = not context["connection"].get_autocommit()
    if not (_tenant.get() or _subject.get() or begun) or str(sql).startswith(CONTROL):
        return execute(sql, params, many, context)
    if many:
        for each in params:
            _walled(execute, sql, each, False, context)
        return None
    done = execute(opening(begun) + str(sql), params, False, context)
    while context["cursor"].cursor.nextset():
        pass  # the results of what was said before; the last one is the statement's own
    return done


def _raise_wall(connection: BaseDatabaseWrapper, **about: Any) -> None:
    if connection.vendor == "postgresql" and _walled not in connection.execute_wrappers:
        connection.execute_wrappers.append(_walled)


def stand() -> None:
    """Have every connection of this process carry the tenant along."""
    connection_created.connect(_raise_wall, dispatch_uid="muniment.wall")


def grant(**about: Any) -> None:
    """After migrations: what roles may do with tables that the owner has made."""
    connection = connections[about["using"]]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [[*SERVING, SEQUENCER]])
        roles = [name for (name,) in cursor.fetchall()]
        # Not there where migrations went back to before the log.
        there = set(SEALED) <= set(connection.introspection.table_names(cursor))
        for role in roles:
            for right in _rights(role, there):
                cursor.execute(right.format(role=role))


def _rights(role: str, log: bool) -> Iterator[str]:
    yield from SEQUENCER_RIGHTS if role == SEQUENCER else RIGHTS
    if log:
        yield from SEQUENCER_RIGHTS_AT_THE_LOG if role == SEQUENCER else RIGHTS_AT_THE_LOG


def fault_of_role() -> str:
    """Why the role of this process may not serve people, in a sentence; "" for one that may."""
    connection = connections["default"]
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolsuper OR rolbypassrls,"
            " EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND tableowner = rolname)"
            " FROM pg_roles WHERE rolname = current_user"
        )
        name, mighty, owns = cursor.fetchone()
    if not (mighty or owns):
        return ""
    why = "is not bound by row-level security" if mighty else "owns tables"
    return (
        f"The database role {name} {why}, so it may not serve people: name muniment_web or muniment_worker "
        "in MUNIMENT_DATABASE_URL, and muniment_sequencer for the sequencer."
    )


def policies(**tables: str) -> migrations.RunPython:
    """A migration's operation: tables and the condition under which a row is seen and may be written.

    FORCE binds the owner of the tables as well.
    """

    def up(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor != "postgresql":
            return
        for table, condition in tables.items():
            schema_editor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            schema_editor.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            schema_editor.execute(
                f"CREATE POLICY tenant ON {table} USING ({condition}) WITH CHECK ({condition})"
            )

    def down(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor != "postgresql":
            return
        for table in tables:
            schema_editor.execute(f"DROP POLICY tenant ON {table}")
            schema_editor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            schema_editor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    return migrations.RunPython(up, down)
