"""Whatever is damaged in database, index or files is found, all of it; what is whole is left alone."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.db import connection
from django.utils import timezone

from muniment.accounts.models import Person
from muniment.audit import actions
from muniment.audit.models import AuditEvent
from muniment.audit.queries import body_of
from muniment.documents import services as documents
from muniment.documents.blobs import blob_path, part_path, pictures_folder
from muniment.documents.models import IN_WORK, Document, Passage, Version, VersionState
from muniment.jobs.models import OPEN_STATES, Job, Kind
from muniment.pages.errors import Conflict
from tests.crash.workshop import (
    DIMENSION,
    Tenancy,
    do_everything,
    document_of,
    make_tenancy,
    text_of,
)
from tests.factories import scope_for
from workers.engines import Point, connect
from workers.engines.index import QdrantIndex
from workers.engines.sparse import passage_vector
from workers.ingest import pipeline
from workers.upkeep.difference import Report, What
from workers.upkeep.reconcile import compare

pytestmark = pytest.mark.django_db(transaction=True)

Found = set[tuple[What, str]]
LONG_AGO = time.time() - 100_000


@pytest.fixture
def tenancies(index: QdrantIndex, broker: redis.Redis) -> list[Tenancy]:
    """Two tenants with published, replaced, deleted and failed documents."""
    made = [make_tenancy(), make_tenancy()]
    rng = random.Random(1)
    for tenancy in made:
        for n in range(14):
            tenancy.upload(f"{n}.txt", text_of(rng))
        do_everything()
        tenancy.upload("0.txt", text_of(rng))
        tenancy.upload("bad.txt", b" \n")
        gone = Document.objects.get(library=tenancy.library, name="1.txt")
        documents.delete_document(scope_for(tenancy.person), gone.id)
        do_everything()
    return made


def things(report: Report) -> Found:
    return {(what, ref) for what, _tenant, ref in report.things}


class Damage:
    """Damages one thing after another, never the same document twice, and keeps what should be found."""

    def __init__(self, seed: int, index: QdrantIndex, tenancies: list[Tenancy]) -> None:
        self.rng, self.index, self.tenancies = random.Random(seed), index, tenancies
        self.expected: Found = set()
        self.for_a_person: Found = set()
        self.with_removals: Found = set()
        self.untouched = {
            tenancy.id: list(
                Version.objects.filter(tenant=tenancy.id, state=VersionState.PUBLISHED).order_by("pk")
            )
            for tenancy in tenancies
        }

    def tenancy(self) -> Tenancy:
        return self.rng.choice([each for each in self.tenancies if self.untouched[each.id]])

    def version(self, tenancy: Tenancy | None = None) -> Version:
        versions = self.untouched[(tenancy or self.tenancy()).id]
        return versions.pop(self.rng.randrange(len(versions)))

    def passages(self, version: Version) -> list[Passage]:
        found = list(version.passages.order_by("ordinal"))
        return self.rng.sample(found, self.rng.randint(1, len(found)))

    def expect(self, what: What, ref: object, mended: bool = True) -> None:
        self.expected.add((what, str(ref)))
        if not mended:
            self.for_a_person.add((what, str(ref)))

    def point(self, of: Version, id: UUID, **other: Any) -> Point:
        document = document_of(of)
        point = Point(
            id=id,
            dense=[1.0] + [0.0] * (DIMENSION - 1),
            sparse=passage_vector("a word"),
            tenant=of.tenant,
            library=document.library_id,
            document=document.id,
            version=of.id,
            label=document.label,
        )
        return replace(point, **other)

    # Points

    def lose_points(self) -> None:
        version = self.version()
        self.index.delete_points(version.tenant, [passage.id for passage in self.passages(version)])
        self.expect(What.MISSING_POINTS, version.id)

    def lose_all_points(self) -> None:
        version = self.version()
        self.index.delete_versions(version.tenant, [version.id])
        self.expect(What.MISSING_POINTS, version.id)

    def misplace_points(self) -> None:
        tenancy = self.tenancy()
        version = self.version(tenancy)
        where = self.rng.choice([{"library": tenancy.other.id}, {"label": 3}])
        points = [self.point(version, passage.id, **where) for passage in self.passages(version)]
        self.index.upsert(points)
        self.expect(What.MISPLACED_POINTS, version.document_id)

    def misname_points(self) -> None:
        version = self.version()
        where = self.rng.choice([{"document": uuid4()}, {"version": uuid4()}])
        points = [self.point(version, passage.id, **where) for passage in self.passages(version)]
        self.index.upsert(points)
        self.expect(What.MISPLACED_POINTS, version.id)

    def cross_tenants(self) -> None:
        here, there = self.rng.sample(self.tenancies, 2)
        version = self.version(here)
        wrong = {"tenant": there.id, "library": there.library.id}
        self.index.upsert([self.point(version, passage.id, **wrong) for passage in self.passages(version)])
        self.expect(What.FOREIGN_POINTS, "")
        self.expect(What.MISSING_POINTS, version.id)

    def copy_into_another_tenant(self) -> None:
        here, there = self.rng.sample(self.tenancies, 2)
        self.index.upsert([self.point(self.version(here), uuid4(), tenant=there.id)])
        self.expect(What.FOREIGN_POINTS, "")

    def invent_a_tenant(self) -> None:
        self.index.upsert([self.point(self.version(), uuid4(), tenant=uuid4())])
        self.expect(What.FOREIGN_POINTS, "")

    def add_points(self) -> None:
        version = self.version()
        self.index.upsert([self.point(version, uuid4()) for _n in range(self.rng.randint(1, 3))])
        self.expect(What.ORPHAN_POINTS, version.id)

    def add_points_of_nobody(self) -> None:
        version = self.version()
        unknown = uuid4()
        self.index.upsert([self.point(version, uuid4(), version=unknown)])
        self.expect(What.ORPHAN_POINTS, unknown)

    def bring_points_back(self) -> None:
        states = [VersionState.SUPERSEDED, VersionState.DELETED, VersionState.FAILED]
        retired = list(Version.objects.filter(state__in=states).order_by("pk"))
        version = self.rng.choice(retired)
        kept = version.passages.first()
        self.index.upsert([self.point(version, kept.id if kept else uuid4())])
        self.expect(What.ORPHAN_POINTS, version.id)

    # Rows

    def lose_a_passage(self) -> None:
        version = self.version()
        version.passages.get(ordinal=0).delete()
        self.expect(What.DAMAGED_TEXT, version.id)
        self.expect(What.ORPHAN_POINTS, version.id)

    def change_a_text(self) -> None:
        version = self.version()
        version.passages.filter(ordinal=0).update(text="Something else.")
        self.expect(What.DAMAGED_TEXT, version.id)

    def hide_a_document(self) -> None:
        version = self.version()
        Document.objects.filter(pk=version.document_id).update(current=None)
        self.expect(What.UNSETTLED_DOCUMENT, version.document_id)

    def half_delete_a_document(self) -> None:
        version = self.version()
        Document.objects.filter(pk=version.document_id).update(deleted_at=timezone.now())
        self.expect(What.UNSETTLED_DOCUMENT, version.document_id)

    def lose_a_job(self) -> None:
        version = self.tenancy().upload(f"{uuid4()}.txt", text_of(self.rng))
        Job.objects.filter(kind=Kind.INGEST, subject=version.id).delete()
        self.expect(What.NO_JOB, version.id)

    def lose_a_removal(self) -> None:
        version = self.version()
        documents.delete_document(scope_of_owner(version), version.document_id)
        Job.objects.filter(kind=Kind.REMOVE, subject=version.id).delete()
        self.expect(What.NO_JOB, version.id)
        self.expect(What.ORPHAN_POINTS, version.id)
        leave(pictures_folder(version.tenant, version.id) / "1-640.png")
        self.with_removals |= {
            (What.ORPHAN_ORIGINAL, version.sha256),
            (What.LEFTOVER_PICTURES, str(version.id)),
        }
        self.expected |= self.with_removals

    def order_nothing(self) -> None:
        kind = self.rng.choice([Kind.INGEST, Kind.REMOVE, Kind.MOVE, Kind.REINDEX])
        tenant = self.tenancy().id
        job = Job.objects.create(tenant=tenant, kind=kind, subject=uuid4(), next_at=timezone.now())
        self.expect(What.POINTLESS_JOB, job.id)

    # Files

    def lose_an_original(self) -> None:
        version = self.version()
        blob_path(version.tenant, version.sha256).unlink()
        self.expect(What.LOST_ORIGINAL, version.id, mended=False)

    def damage_an_original(self) -> None:
        version = self.version()
        path = blob_path(version.tenant, version.sha256)
        data = bytearray(path.read_bytes())
        data[self.rng.randrange(len(data))] ^= 1
        path.write_bytes(data)
        self.expect(What.DAMAGED_ORIGINAL, version.id, mended=False)

    def add_an_original(self) -> None:
        sha256 = self.rng.randbytes(32).hex()
        blob_path(self.tenancy().id, sha256).write_bytes(b"nobody's")
        self.expect(What.ORPHAN_ORIGINAL, sha256)

    def leave_an_upload(self) -> None:
        upload = uuid4()
        leave(part_path(self.tenancy().id, upload))
        self.expect(What.LEFTOVER_UPLOAD, upload)

    def leave_pictures(self) -> None:
        # Not one that goes with its document right now: its removal takes pictures along.
        going = Job.objects.filter(kind=Kind.REMOVE, state__in=OPEN_STATES).values("subject")
        gone = Version.objects.filter(state=VersionState.DELETED).exclude(pk__in=going)
        version = gone.earliest("pk")
        leave(pictures_folder(version.tenant, version.id) / "1-640.png")
        self.expect(What.LEFTOVER_PICTURES, version.id)

    def leave_half_a_picture(self) -> None:
        version = self.version()
        leave(pictures_folder(version.tenant, version.id) / ".1-640-key")
        self.expect(What.LEFTOVER_PICTURES, version.id)

    def put_a_file_there(self) -> None:
        tenant = self.tenancy().id
        leave(blob_path(tenant, "0" * 64).with_name("notes.txt"))
        self.expect(What.UNKNOWN_FILE, f"{tenant}/notes.txt", mended=False)


def scope_of_owner(version: Version) -> Any:
    return scope_for(Person.objects.get(tenant=version.tenant))


def leave(path: Path) -> None:
    """As if it had been there for long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"left")
    os.utime(path, (LONG_AGO, LONG_AGO))
    os.utime(path.parent, (LONG_AGO, LONG_AGO))


DAMAGES = [
    name
    for name, value in vars(Damage).items()
    if callable(value) and value.__code__.co_argcount == 1 and name not in {"tenancy"}
]


def test_a_whole_installation_is_left_alone(
    index: QdrantIndex, tenancies: list[Tenancy], settings: Any
) -> None:
    before = AuditEvent.objects.count()
    for _look in range(2):
        report = compare()
        assert report.whole and not report.found
    # An index that is away has lost nothing, but then nobody knows that all is well.
    settings.INDEX_URL = "unix:/nowhere.sock"
    connect.index.cache_clear()
    report = compare()
    assert not report.found and not report.whole
    assert AuditEvent.objects.count() == before


def test_everything_damaged_at_once_is_found_and_mended(index: QdrantIndex, tenancies: list[Tenancy]) -> None:
    damage(1, DAMAGES, index, tenancies)


@pytest.mark.deep
@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_alone_is_found_and_mended(
    name: str, index: QdrantIndex, tenancies: list[Tenancy]
) -> None:
    damage(2, [name], index, tenancies)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(60))
def test_random_damage_is_found_and_mended(seed: int, index: QdrantIndex, tenancies: list[Tenancy]) -> None:
    rng = random.Random(seed)
    damage(seed, rng.choices(DAMAGES, k=rng.randint(5, 20)), index, tenancies)


def damage(seed: int, names: list[str], index: QdrantIndex, tenancies: list[Tenancy]) -> None:
    done = Damage(seed, index, tenancies)
    for name in names:
        getattr(done, name)()
    looked = compare(mend=False)
    assert things(looked) == done.expected, names
    assert AuditEvent.objects.filter(action=actions.DIFFERENCE_MENDED).count() == 0
    mended = compare()
    # A removal that is ordered again takes files along, which then are no find of their own.
    assert things(mended) | done.with_removals == done.expected, names
    assert sum(mended.left.values()) == len(done.for_a_person)
    do_everything()
    assert_told(things(mended) - done.for_a_person)
    again = compare()
    assert things(again) == done.for_a_person, names
    assert again.whole == (not done.for_a_person)
    assert not Version.objects.filter(state__in=IN_WORK).exists()
    for version in Version.objects.filter(state=VersionState.PUBLISHED):
        points = {p.id for p in index.stored_points(version.tenant) if p.version == version.id}
        assert points == set(version.passages.values_list("pk", flat=True))


def assert_told(mended: Found) -> None:
    """The trail has an event for each thing."""
    rows = AuditEvent.objects.filter(action=actions.DIFFERENCE_MENDED)
    told = {(body["details"]["what"], body["object"]["ref"]) for body in map(body_of, rows)}
    assert told == {(str(what), ref) for what, ref in mended}


def test_a_document_deleted_while_it_is_read_is_no_fault(
    tenancies: list[Tenancy], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tenancy = tenancies[0]
    version = tenancy.upload("late.txt", text_of(random.Random(3)))
    real = pipeline.read_in_child

    def read(*args: Any) -> Any:
        documents.delete_document(scope_for(tenancy.person), version.document_id)
        return real(*args)

    monkeypatch.setattr(pipeline, "read_in_child", read)
    do_everything()
    assert "job.broke" not in caplog.text
    assert not compare().found


def test_what_only_a_person_can_help_is_mended_by_uploading_again(
    index: QdrantIndex, tenancies: list[Tenancy]
) -> None:
    data = text_of(random.Random(9))
    version = tenancies[0].upload("kept.txt", data)
    do_everything()
    path = blob_path(version.tenant, version.sha256)
    for spoil in (path.unlink, lambda: path.write_bytes(b"changed")):
        spoil()
        assert not compare().whole
        tenancies[0].upload("kept.txt", data)
        assert compare().whole


@pytest.mark.parametrize("seconds", [6, pytest.param(120, marks=pytest.mark.deep)])
def test_running_work_is_no_difference(seconds: int, index: QdrantIndex, tenancies: list[Tenancy]) -> None:
    """People upload, replace, move, label and delete while everything is compared, again and again."""
    over, troubles = threading.Event(), []

    def busy(work: Callable[[], None]) -> None:
        try:
            while not over.is_set():
                work()
        except Exception as error:
            troubles.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=busy, args=[work]) for work in (people(tenancies), do_everything)]
    for thread in threads:
        thread.start()
    looks, until = 0, time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            report = compare(mend=looks % 2 == 0)
            assert not report.found, report.as_dict()
            looks += 1
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not troubles, troubles
    assert looks >= 3
    do_everything()
    assert not compare().found


def people(tenancies: list[Tenancy]) -> Callable[[], None]:
    rng = random.Random(5)

    def work() -> None:
        tenancy = rng.choice(tenancies)
        scope = scope_for(tenancy.person)
        shown = list(Document.objects.filter(tenant=tenancy.id, deleted_at=None, current__isnull=False))
        document = rng.choice(shown) if len(shown) > 5 else None
        act = rng.choice(["upload", "replace", "move", "delete"]) if document else "upload"
        if act == "move" and document:
            libraries = {tenancy.library.id, tenancy.other.id} - {document.library_id}
            with suppress(Conflict):  # that library has one of this name
                documents.move_document(scope, document.id, libraries.pop())
        elif act == "delete" and document:
            documents.delete_document(scope, document.id)
        else:
            name = document.name if act == "replace" and document else f"{uuid4()}.txt"
            tenancy.upload(name, text_of(rng))

    return work
