"""Row-level security beneath `Scope`: a tenant sees its own rows alone, whatever the code asks for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from muniment import wall
from muniment.documents.models import Document
from muniment.tenancy.models import Library, Tenant
from muniment.wall import EXEMPT, within
from tests.factories import make_document, make_library, make_person, make_tenant
from tests.postgres import Cluster

on_postgresql = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="SQLite has no second wall; the run on PostgreSQL tests it"
)
THREADS, REQUESTS = 16, 10_000


def test_every_table_has_its_policy_or_says_why_not(cluster: Cluster) -> None:
    listed = cluster.sql(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AND EXISTS"
        " (SELECT FROM pg_policy WHERE polrelid = pg_class.oid) FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        "muniment",
    )
    tables = dict(line.split("|") for line in listed.splitlines())
    assert {table for table, walled in tables.items() if walled == "f"} == set(EXEMPT) & set(tables)
    assert set(EXEMPT) <= set(tables)


def test_nobody_who_serves_people_owns_anything_or_passes_the_wall(cluster: Cluster) -> None:
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert cluster.sql(owners, "muniment") == "muniment_owner"
    bypassing = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'muniment%' AND (rolsuper OR rolbypassrls)"
    assert cluster.sql(bypassing) == "0"


@pytest.mark.parametrize("role", ["muniment_web", "muniment_worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET outcome = 'x'",
        "DELETE FROM audit_event",
        "TRUNCATE audit_event",
        "ALTER TABLE audit_event DISABLE TRIGGER ALL",
        "DROP TABLE audit_event",
        "SET session_replication_role = replica",
        "ALTER TABLE documents_passage DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON documents_passage",
        "CREATE TABLE mine (x int)",
        "SET ROLE muniment_owner",
        "DELETE FROM django_migrations",
        "INSERT INTO audit_leaf SELECT * FROM audit_leaf",
        "INSERT INTO audit_checkpoint SELECT * FROM audit_checkpoint",
        "INSERT INTO audit_key VALUES ('key', now())",
        "INSERT INTO audit_pending (event, tenant) VALUES (gen_random_uuid(), gen_random_uuid())",
        "DELETE FROM audit_pending",
        "UPDATE audit_checkpoint SET note = ''",
    ],
)
def test_what_the_serving_roles_may_not_do(cluster: Cluster, role: str, statement: str) -> None:
    with (
        closing(psycopg.connect(host=str(cluster.folder), user=role, dbname="muniment")) as server,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        server.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO audit_event SELECT * FROM audit_event",
        "DELETE FROM audit_event",
        "UPDATE audit_leaf SET number = 1",
        "DELETE FROM audit_checkpoint",
        "TRUNCATE audit_leaf",
        "INSERT INTO audit_pending (event, tenant) VALUES (gen_random_uuid(), gen_random_uuid())",
        "SELECT value FROM audit_private",
        "SELECT person FROM audit_subject",
        "SELECT * FROM tenancy_tenant",
        "SELECT text FROM documents_passage",
        "CREATE TABLE mine (x int)",
        "SET ROLE muniment_owner",
    ],
)
def test_the_sequencer_writes_the_log_and_sees_nothing_else(cluster: Cluster, statement: str) -> None:
    with (
        closing(
            psycopg.connect(host=str(cluster.folder), user="muniment_sequencer", dbname="muniment")
        ) as server,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        server.execute(statement)


@contextmanager
def as_web() -> Iterator[None]:
    """Statements of the role that serves people, through no door."""
    with connection.cursor() as cursor, wall.looking_for("nobody"):
        cursor.execute("SELECT 1")
        yield


@on_postgresql
def test_through_no_door_nothing_is_read(db: None) -> None:
    make_document(make_library(make_tenant()), "one.txt")
    with as_web():
        assert not Document.objects.exists()
        assert not Library.objects.exists()


@on_postgresql
def test_a_tenant_sees_its_own_rows_alone(db: None) -> None:
    mine, other = make_tenant(), make_tenant()
    make_document(make_library(mine), "mine.txt")
    make_document(make_library(other), "other.txt")
    with within(mine.id):
        assert [document.name for document in Document.objects.all()] == ["mine.txt"]
        assert {library.tenant_id for library in Library.objects.all()} == {mine.id}


@on_postgresql
def test_rows_of_another_tenant_are_neither_written_nor_changed(db: None) -> None:
    mine, other = make_tenant(), make_tenant()
    theirs = make_document(make_library(other), "other.txt")
    with within(mine.id):
        assert Document.objects.filter(pk=theirs.pk).update(name="mine now") == 0
        assert Document.objects.filter(pk=theirs.pk).delete()[0] == 0
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Library.objects.create(tenant=other, slug="x", name="X")
    theirs.refresh_from_db()
    assert theirs.name == "other.txt"


@on_postgresql
def test_who_signs_in_is_the_one_person_seen(db: None) -> None:
    from muniment.accounts.models import Person

    tenant = make_tenant()
    person, _another = make_person(tenant), make_person(tenant)
    with wall.looking_for(person.username):
        assert [found.id for found in Person.objects.all()] == [person.id]
    with wall.looking_for(f"x' OR true; -- {person.username}"):
        assert not Person.objects.exists()


@on_postgresql
def test_a_statement_that_fails_leaves_the_wall_as_it_was(db: None) -> None:
    mine = make_tenant()
    make_document(make_library(mine), "mine.txt")
    with within(mine.id):
        with pytest.raises(IntegrityError), transaction.atomic():
            Tenant.objects.create(slug=mine.slug, name="again")
        assert Document.objects.count() == 1
    with as_web():
        assert not Document.objects.exists()


@on_postgresql
def test_ten_thousand_requests_over_shared_connections_see_their_own_tenant(transactional_db: None) -> None:
    tenants = [make_tenant() for _n in range(5)]
    for tenant in tenants:
        for number in range(3):
            make_document(make_library(tenant, f"Library {number}"), f"{number}.txt")

    def requests(seed: int) -> int:
        rng, foreign = random.Random(seed), 0
        for _n in range(REQUESTS // THREADS):
            tenant: UUID = rng.choice([*(tenant.id for tenant in tenants), uuid4()])
            with within(tenant):
                if rng.random() < 0.2:
                    with transaction.atomic():
                        seen = set(Document.objects.values_list("tenant", flat=True))
                else:
                    seen = set(Document.objects.values_list("tenant", flat=True))
            foreign += bool(seen - {tenant})
            if rng.random() < 0.05:
                connection.close()
        connection.close()
        return foreign

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(requests, range(THREADS))) == 0
