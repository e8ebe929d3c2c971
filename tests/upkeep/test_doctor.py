"""The doctor names the part that is ill, and is silent about the others."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock
from uuid import uuid4

import pytest
import redis
from django.conf import settings
from django.db import connection
from django.utils import timezone

from muniment.audit import actions
from muniment.audit.models import AuditEvent
from muniment.audit.services import record
from muniment.documents.blobs import blob_path
from muniment.documents.models import Document, Passage, Version, VersionState
from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind
from muniment.registry.queries import last_checks
from muniment.registry.services import store_trial
from muniment.scope import Origin, Scope
from muniment.tenancy.models import Library, Tenant
from tests.engines.index_process import IndexProcess
from tests.factories import make_tenant
from tests.triggers import drop_trigger
from tests.upkeep.installation import Installation
from workers import guard, preflight
from workers.engines import EngineFacts, Point, catalogue, connect
from workers.engines.sparse import passage_vector
from workers.upkeep import data, tasks
from workers.upkeep.doctor import examine, examine_after_a_start, examine_and_store


def states() -> dict[str, str]:
    return {finding.name: finding.state.value for finding in examine()}


def sentence(name: str) -> str:
    return next(finding.sentence for finding in examine() if finding.name == name)


def of(installation: Installation) -> dict[str, str]:
    found = installation.manage("doctor", "--json")
    rows = {row["name"]: row["state"] for row in json.loads(found.stdout)}
    assert found.returncode == (1 if "bad" in rows.values() else 0)
    return rows


class TestFromOutside:
    def test_parts_that_do_not_run_are_no_fault(self, installation: Installation) -> None:
        found = of(installation)
        assert {found[name] for name in ("processes", "broker", "index", "engine")} == {"warn"}
        whole = ("python", "libraries", "offline", "data folder", "database", "migrations", "audit trail")
        assert {name: found[name] for name in whole} == dict.fromkeys(whole, "ok")
        assert found["originals"] == found["work"] == found["clock"] == "ok"

    def test_a_new_folder_has_no_database_yet(self, empty: Installation) -> None:
        assert of(empty)["database"] == "warn"

    def test_where_the_supervisor_runs_a_silent_part_is_a_fault(self, installation: Installation) -> None:
        with guard.hold(installation.data / "lock"):
            found = of(installation)
        assert {found[name] for name in ("processes", "broker", "index", "engine")} == {"bad"}

    def test_a_damaged_database(self, installation: Installation) -> None:
        content = bytearray(installation.database.read_bytes())
        content[20_000:60_000] = bytes(40_000)
        installation.database.write_bytes(content)
        assert of(installation)["database"] == "bad"

    def test_a_file_that_is_no_database(self, installation: Installation) -> None:
        installation.database.write_bytes(b"no database" * 1000)
        assert of(installation)["database"] == "bad"

    def test_people_read_sentences(self, installation: Installation) -> None:
        said = installation.manage("doctor").stdout
        assert "It is not running: start `make up`." in said
        assert "{" not in said


@pytest.mark.django_db
class TestInside:
    def test_changed_switches(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert states()["offline"] == "ok"
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        assert states()["offline"] == "bad"

    def test_a_removed_trigger(self) -> None:
        drop_trigger("audit_event_no_delete")
        assert states()["audit trail"] == "bad"

    def test_events_of_tomorrow(self) -> None:
        body = {"body": b"{}", "leaf_hash": b"", "action": "x", "stage": "x", "outcome": "x"}
        later = timezone.now() + timedelta(days=1)
        AuditEvent.objects.create(event_id=uuid4(), tenant=make_tenant().id, occurred_at=later, **body)
        assert states()["clock"] == "bad"

    def test_a_database_of_a_newer_version(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO django_migrations (app, name, applied) VALUES ('jobs', '0099_x', '2026-01-01')"
            )
        assert states()["migrations"] == "bad"

    def test_what_was_starting_at_the_last_look_is_looked_at_again_once(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(settings, "RUN_DIR", tmp_path)

        def told(state: str) -> None:
            part = {"name": "engine", "state": state, "since": time.time(), "restarts": 0, "reason": ""}
            facts = {"updated": time.time(), "processes": [part]}
            (tmp_path / "state.json").write_text(json.dumps(facts))

        told("starting")
        examine_after_a_start()
        assert not last_checks()
        examine_and_store()
        assert {check.name: check.state for check in last_checks()}["process engine"] == "warn"
        told("ready")
        examine_after_a_start()
        looked = last_checks()
        assert "process engine" not in {check.name for check in looked}
        examine_after_a_start()
        assert last_checks()[0].at == looked[0].at

    def test_work_that_nobody_does(self) -> None:
        job = jobs.create(Scope(tenant=uuid4()), Kind.INGEST, uuid4())
        assert states()["work"] == "ok"
        Job.objects.filter(pk=job.pk).update(next_at=timezone.now() - timedelta(hours=1))
        assert states()["work"] == "bad"

    def test_a_long_queue_in_work_is_no_fault(self) -> None:
        scope = Scope(tenant=uuid4())
        waiting, running = jobs.create(scope, Kind.INGEST, uuid4()), jobs.create(scope, Kind.INGEST, uuid4())
        assert jobs.take(running.id, running.tenant, "me")
        Job.objects.filter(pk=waiting.pk).update(next_at=timezone.now() - timedelta(hours=1))
        assert states()["work"] == "ok"

    def test_a_worker_that_fell_silent(self) -> None:
        job = jobs.create(Scope(tenant=uuid4()), Kind.INGEST, uuid4())
        assert jobs.take(job.id, job.tenant, "me")
        Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(hours=1))
        assert states()["work"] == "bad"

    def test_a_damaged_original(self, version: Version) -> None:
        assert states()["originals"] == "ok"
        blob_path(version.tenant, version.sha256).write_bytes(b"other bytes")
        assert states()["originals"] == "bad"
        assert str(version.id) in sentence("originals")

    def test_a_backup_is_missed(self, version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
        assert states()["backup"] == "warn"
        admin = Scope(tenant=version.tenant, origin=Origin(kind="cli"))
        record(admin, actions.BACKUP_MADE)
        assert states()["backup"] == "ok"
        monkeypatch.setattr(data, "BACKUP_AGE", timedelta(0))
        assert states()["backup"] == "warn"

    def test_an_engine_with_other_weights_than_are_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        model, embedder = catalogue.model(settings.LANGUAGE_MODEL), catalogue.model(settings.EMBEDDER)
        facts = EngineFacts(model.name, model.sha256, 8192, embedder.name, embedder.sha256, 384, 256, "")
        engine = Mock(facts=Mock(return_value=facts))
        monkeypatch.setattr(connect, "engine", lambda: engine)
        assert states()["engine"] == "ok"
        assert states()["speed"] == "warn"
        store_trial(model.name, 40.0, 15.0)
        assert states()["speed"] == "ok"
        engine.facts.return_value = replace(facts, embedder_sha256="0" * 64)
        assert states()["engine"] == "bad"
        assert embedder.name in sentence("engine")

    def test_a_part_that_rests(self) -> None:
        facts = {"pid": None, "since": 0, "restarts": 3, "rss": 0, "reason": "it was killed by signal 9"}
        rows = [{**facts, "name": "web", "state": "ready"}, {**facts, "name": "ingest", "state": "resting"}]
        state = Path(settings.RUN_DIR) / "state.json"
        state.write_text(json.dumps({"updated": time.time(), "processes": rows}))
        try:
            found = states()
            assert found["process ingest"] == "bad"
            assert "process web" not in found
            assert "signal 9" in sentence("process ingest")
            state.write_text(json.dumps({"updated": time.time() - 60, "processes": rows}))
            assert states()["processes"] == "warn"
        finally:
            state.unlink()

    def test_a_real_broker(self, broker: redis.Redis) -> None:
        assert states()["broker"] == "ok"


@pytest.mark.django_db(transaction=True)
def test_the_health_page_finds_rows_and_a_reply(broker: redis.Redis) -> None:
    tasks.doctor("reply:here", "{}")
    (raw,) = broker.lrange("reply:here", 0, -1)
    told = json.loads(raw)["checks"]
    rows = last_checks()
    assert [(row.name, row.state, row.sentence) for row in rows] == [
        (check["name"], check["state"], check["sentence"]) for check in told
    ]
    assert rows[0].name == "python"
    assert timezone.now() - rows[0].at < timedelta(minutes=1)
    tasks.doctor()
    assert len(last_checks()) == len(rows)


@pytest.mark.parametrize(
    ("facts", "accepted"),
    [
        ({"server_name": "valkey", "valkey_version": "9.1.2", "redis_version": "7.2.4"}, True),
        ({"server_name": "valkey", "valkey_version": "9.0.4", "redis_version": "7.2.4"}, True),
        ({"server_name": "valkey", "valkey_version": "9.0.3", "redis_version": "7.2.4"}, False),
        ({"server_name": "valkey", "valkey_version": "8.1.7", "redis_version": "7.2.4"}, True),
        ({"server_name": "valkey", "valkey_version": "8.1.6", "redis_version": "7.2.4"}, False),
        ({"server_name": "valkey", "valkey_version": "8.0.9", "redis_version": "7.2.4"}, False),
        ({"redis_version": "8.6.3"}, True),
        ({"redis_version": "8.6.2"}, False),
        ({"redis_version": "7.0.15"}, False),
    ],
)
def test_brokers_with_known_holes_are_refused(facts: dict[str, str], accepted: bool) -> None:
    _name, version, floor = preflight.broker_version(facts)
    assert (preflight.version_numbers(version) >= floor) is accepted


@pytest.fixture
def version(db: None) -> Version:
    """A published version with one passage, and its original."""
    tenant = Tenant.objects.create(slug=uuid4().hex, name="T")
    library = Library.objects.create(tenant=tenant, slug="l", name="L")
    document = Document.objects.create(tenant=tenant.id, library=library, name="a.txt", label=1)
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    made = Version.objects.create(
        tenant=tenant.id,
        document=document,
        number=1,
        sha256=sha256,
        size=3,
        state=VersionState.PUBLISHED,
        passage_count=1,
    )
    where = {"ordinal": 0, "start": 0, "end": 3, "page": 1, "page_end": 1, "sha256": sha256}
    Passage.objects.create(id=uuid4(), tenant=tenant.id, version=made, text="abc", **where)
    path = blob_path(tenant.id, sha256)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"abc")
    return made


@pytest.fixture
def index_process(tmp_path: Path) -> Iterator[IndexProcess]:
    """The embedded index where the settings look for it."""
    connect.index.cache_clear()
    server = IndexProcess(tmp_path / "index", Path(settings.INDEX_URL.removeprefix("unix:"))).start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.stop()
    connect.index.cache_clear()


@pytest.mark.django_db
def test_the_index_is_compared_with_the_database(version: Version, index_process: IndexProcess) -> None:
    assert states()["index"] == "bad"
    assert "manage.py reindex" in sentence("index")

    job = jobs.create(Scope(tenant=version.tenant), Kind.REINDEX, version.id)
    assert states()["index"] == "warn"
    Job.objects.filter(pk=job.pk).delete()

    dimension = catalogue.model(settings.EMBEDDER).dimension
    passage = version.passages.get()
    document = version.document
    connect.index(dimension, 1).upsert(
        [
            Point(
                id=passage.id,
                dense=[1.0] + [0.0] * (dimension - 1),
                sparse=passage_vector(passage.text),
                tenant=version.tenant,
                library=document.library_id,
                document=document.id,
                version=version.id,
                label=document.label,
            )
        ]
    )
    assert states()["index"] == "ok"
    index_process.kill()
    assert states()["index"] == "warn"


def test_a_broker_that_drops_messages_is_a_fault(db: None, broker: redis.Redis) -> None:
    assert states()["broker"] == "ok"
    broker.config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert states()["broker"] == "bad"
        assert "set its maxmemory-policy to noeviction" in sentence("broker")
    finally:
        broker.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize(
    ("ahead", "warns", "refuses"), [(3, False, False), (-7, True, False), (16, True, True)]
)
def test_clocks_may_differ_a_little(ahead: float, warns: bool, refuses: bool) -> None:
    assert bool(preflight.clock_fault(ahead)) is warns
    assert bool(preflight.clock_fault(ahead, refuses=True)) is refuses
