"""A process killed at every boundary of its work: nothing is lost, nothing happens twice, the page tells it.

A boundary is the end of each statement that writes, of each commit, and of each call that changes index or
files. The work is done in a fork that kills itself there, and then by others, as when a worker is replaced.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from django.db import connection, connections

from muniment.audit import actions
from muniment.audit.models import AuditEvent
from muniment.documents import blobs, services, uploads
from muniment.documents import generations as rows
from muniment.documents.models import IN_WORK, Document, Upload, Version, VersionState
from muniment.jobs import broker as jobs_broker
from muniment.jobs.models import OPEN_STATES, Job, Kind
from muniment.scope import Role
from tests.crash.workshop import Tenancy, do, do_everything, make_due, make_tenancy, text_of
from tests.factories import scope_for
from workers import generations
from workers.engines import connect
from workers.engines.index import QdrantIndex
from workers.ingest import pipeline
from workers.upkeep import building
from workers.upkeep.difference import What
from workers.upkeep.reconcile import compare

pytestmark = pytest.mark.django_db(transaction=True)

# On PostgreSQL every so many boundaries: what is killed is the same, and `make deep` does all.
STRIDE = 5 if os.environ.get("MUNIMENT_TEST_DATABASE") == "postgresql" else 1
CALLS = (
    (QdrantIndex, ("upsert", "delete_versions", "delete_points", "move_document", "count", "drop")),
    (blobs, ("keep", "remove", "remove_pictures")),
    (uploads, ("append",)),
)


class Tripwire:
    """Ends this very process at the `at`-th boundary that it passes."""

    def __init__(self, at: int) -> None:
        self.left = at

    def passed(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def stretch(self) -> None:
        for owner, names in CALLS:
            for name in names:
                setattr(owner, name, self._after(getattr(owner, name)))
        connection._commit = self._after(connection._commit)  # type: ignore[method-assign]
        connection.execute_wrappers.insert(0, self._after_writing)

    def _after(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            found = call(*args, **kwargs)
            self.passed()
            return found

        return called

    def _after_writing(self, execute: Any, sql: str, *rest: Any) -> Any:
        done = execute(sql, *rest)
        if sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            self.passed()
        return done


def in_a_fork(
    act: Callable[[], object], prepare: Callable[[], object], kill_after: float | None = None
) -> bool:
    """Do something in a process of its own; whether that was killed, by itself or after so many seconds."""
    connections.close_all()
    child = os.fork()
    if not child:
        code = 1
        try:
            connect.index.cache_clear()
            jobs_broker.client.cache_clear()
            prepare()
            act()
            code = 0
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _pid, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed by itself: see above"
    return os.WIFSIGNALED(status)


@dataclass
class Case:
    """One document: what is done to it, how a person or the next worker goes on, and what holds then."""

    tenancy: Tenancy
    name: str
    data: bytes

    def prepare(self) -> None:
        """Done before anything is killed."""

    def act(self) -> None:
        raise NotImplementedError

    def go_on(self) -> None:
        """Who was told nothing tries again."""

    @property
    def document(self) -> Document:
        return Document.objects.get(tenant=self.tenancy.id, name=self.name)

    def upload(self, data: bytes | None = None) -> Version:
        return self.tenancy.upload(self.name, data or self.data)

    def check(self, index: QdrantIndex) -> None:
        version = self.document.current
        assert version and version.state == VersionState.PUBLISHED
        assert blobs.is_whole(version.tenant, version.sha256)
        ordinals = version.passages.order_by("ordinal").values_list("ordinal", flat=True)
        assert list(ordinals) == list(range(version.passage_count))


class Uploading(Case):
    """What is moved to its place just before the commit is nobody's until the upload is tried again."""

    def act(self) -> None:
        self.upload()

    def go_on(self) -> None:
        scope = scope_for(self.tenancy.person)
        begun = Upload.objects.filter(tenant=self.tenancy.id, name=self.name).first()
        if begun is None:
            self.upload()
        elif begun.document is None:
            at = uploads.offset(begun)
            if at < begun.size:
                uploads.append(scope, begun.id, at, self.data[at:])
            uploads.finish(scope, begun.id)


class Ingesting(Case):
    def prepare(self) -> None:
        self.upload()

    def act(self) -> None:
        do_next(Kind.INGEST)


class Replacing(Case):
    """The new version is published and the old one's points go."""

    def prepare(self) -> None:
        self.upload()
        do_everything()
        self.upload(self.data + b" And more.")

    def act(self) -> None:
        do_next(Kind.INGEST)
        do_next(Kind.REMOVE)

    def check(self, index: QdrantIndex) -> None:
        super().check(index)
        old = self.document.versions.get(number=1)
        assert old.state == VersionState.SUPERSEDED
        assert index.count(old.tenant, old.id) == 0
        assert old.passages.exists()


class Deleting(Case):
    def prepare(self) -> None:
        self.upload()
        do_everything()
        folder = blobs.pictures_folder(self.tenancy.id, self.document.versions.get().id)
        folder.mkdir(parents=True)
        (folder / "1-640.png").write_bytes(b"picture")

    def act(self) -> None:
        services.delete_document(scope_for(self.tenancy.person), self.document.id)
        do_next(Kind.REMOVE)

    def go_on(self) -> None:
        if self.document.deleted_at is None:
            services.delete_document(scope_for(self.tenancy.person), self.document.id)

    def check(self, index: QdrantIndex) -> None:
        version = self.document.versions.get()
        assert version.state == VersionState.DELETED and self.document.current is None
        assert index.count(version.tenant, version.id) == 0
        assert not version.passages.exists() and not version.pages.exists()
        assert not blobs.blob_path(version.tenant, version.sha256).exists()
        assert not blobs.pictures_folder(version.tenant, version.id).exists()


class Moving(Case):
    def prepare(self) -> None:
        self.upload()
        do_everything()

    def act(self) -> None:
        services.move_document(scope_for(self.tenancy.person), self.document.id, self.tenancy.other.id)
        do_next(Kind.MOVE)

    def go_on(self) -> None:
        if self.document.library_id == self.tenancy.library.id:
            services.move_document(scope_for(self.tenancy.person), self.document.id, self.tenancy.other.id)

    def check(self, index: QdrantIndex) -> None:
        super().check(index)
        points = index.stored_points(self.tenancy.id)
        libraries = {point.library for point in points if point.document == self.document.id}
        assert libraries == {self.tenancy.other.id}


class Failing(Case):
    """The text was read by an earlier try, which wrote points; the last try gives up."""

    def prepare(self) -> None:
        version = self.upload()
        job = Job.objects.get(kind=Kind.INGEST, subject=version.id)
        job.attempt = pipeline.MOST_ATTEMPTS
        pipeline._read(Held(job), version)  # type: ignore[arg-type]
        pipeline._embed(version, generations.serving(), lambda done, total: None)
        job.save()

    def act(self) -> None:
        do_next(Kind.INGEST)

    def check(self, index: QdrantIndex) -> None:
        version = self.document.versions.get()
        assert (version.state, version.error_code) == (VersionState.FAILED, "interrupted")
        assert index.count(version.tenant, version.id) == 0


class Mending(Case):
    """The one who repairs is killed, too."""

    def prepare(self) -> None:
        version = self.upload()
        do_everything()
        index = connect.index(384, 1)
        lost = list(version.passages.values_list("id", flat=True))[:1]
        index.delete_points(version.tenant, lost)
        blobs.blob_path(version.tenant, os.urandom(32).hex()).write_bytes(b"nobody's")

    def act(self) -> None:
        compare()
        do_next(Kind.REINDEX)

    def go_on(self) -> None:
        compare()

    def check(self, index: QdrantIndex) -> None:
        super().check(index)
        version = self.document.versions.get()
        assert index.count(version.tenant, version.id) == version.passage_count


class Building(Case):
    """Another index is built, takes over, and the one before is removed: in that order, whoever is killed."""

    def prepare(self) -> None:
        for earlier in Document.objects.filter(tenant=self.tenancy.id, deleted_at=None):
            services.delete_document(scope_for(self.tenancy.person), earlier.id)
        self.upload()
        do_everything()
        made = rows.making(generations.serving())
        administrator = replace(scope_for(self.tenancy.person), roles=frozenset({Role.SITE_ADMIN}))
        rows.begin(administrator, replace(made, splitter=made.splitter + 1))

    def act(self) -> None:
        building.go_on()
        do_next(Kind.BUILD)
        building.go_on()
        building.go_on()

    def go_on(self) -> None:
        while rows.building():
            building.go_on()
            do_everything()
        building.go_on()

    def check(self, index: QdrantIndex) -> None:
        now = generations.serving()
        assert [row.number for row in rows.kept()] == [now.number]
        for version in rows.published(self.tenancy.id):
            assert (version.cut, version.indexed_in) == (now.number, now.number)
            assert version.passages.count() == version.passage_count, "no other cut is left"
            assert generations.index_of(now).count(version.tenant, version.id) == version.passage_count


@dataclass
class Held:
    """A lease that nobody takes away."""

    job: Job

    def beat(self) -> None:
        pass

    @contextmanager
    def kept(self, seconds: float) -> Iterator[None]:
        yield


EVENTS: dict[type[Case], dict[str, int]] = {
    Uploading: {actions.DOCUMENT_UPLOADED: 1, actions.DOCUMENT_PUBLISHED: 1},
    Ingesting: {actions.DOCUMENT_UPLOADED: 1, actions.DOCUMENT_PUBLISHED: 1},
    Replacing: {actions.DOCUMENT_UPLOADED: 2, actions.DOCUMENT_PUBLISHED: 2},
    Deleting: {
        actions.DOCUMENT_UPLOADED: 1,
        actions.DOCUMENT_PUBLISHED: 1,
        actions.DOCUMENT_DELETED: 1,
        actions.DOCUMENT_REMOVED: 1,
    },
    Moving: {actions.DOCUMENT_UPLOADED: 1, actions.DOCUMENT_PUBLISHED: 1, actions.DOCUMENT_MOVED: 1},
    Failing: {actions.DOCUMENT_UPLOADED: 1, actions.DOCUMENT_FAILED: 1},
    Mending: {actions.DOCUMENT_UPLOADED: 1, actions.DOCUMENT_PUBLISHED: 1},
    Building: {actions.DOCUMENT_UPLOADED: 1, actions.DOCUMENT_PUBLISHED: 1},
}
# All work of the other kinds is looked for in the first index.
IN_ONE_INDEX = [kind for kind in EVENTS if kind is not Building]


def do_next(kind: Kind) -> None:
    for job in make_due():
        if job.kind == kind:
            do(job)


def read_ahead(case: Case) -> None:
    """A fork would have to start a reader's process of its own first."""
    for version in Version.objects.filter(document__name=case.name, state__in=IN_WORK):
        pipeline.read_in_child(blobs.blob_path(version.tenant, version.sha256), case.name)


@pytest.fixture
def tenancy(index: QdrantIndex, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Tenancy:
    known: dict[str, Any] = {}
    real = pipeline.read_in_child

    def read(path: Any, name: str, *rest: Any) -> Any:
        if path.name not in known:
            known[path.name] = real(path, name, *rest)
        return known[path.name]

    monkeypatch.setattr(pipeline, "read_in_child", read)
    return make_tenancy()


def cases(kind: type[Case], tenancy: Tenancy) -> Iterator[Case]:
    """Documents with the same text, so that each is killed at another boundary of the same work."""
    data = text_of(random.Random(4))
    number = 0
    while True:
        number += 1
        yield kind(tenancy, f"{number}.txt", data + b" %d" % number)


def recovered(case: Case, index: QdrantIndex) -> None:
    """By the next worker and the person; then all of it is as if nothing had been."""
    assert_page_is_true(case)
    case.go_on()
    do_everything()
    assert not Job.objects.filter(state__in=OPEN_STATES).exists()
    case.check(index)
    events = AuditEvent.objects.filter(object_ref=str(case.document.id)).values_list("action", flat=True)
    assert Counter(events) == EVENTS[type(case)]


def assert_all_agrees(kinds: Iterable[type[Case]]) -> None:
    """Only bytes of an upload that was killed before its commit may be left, for the comparison to remove."""
    assert set(compare().found) <= ({What.ORPHAN_ORIGINAL} if {Uploading, Mending} & set(kinds) else set())
    assert compare(mend=False).whole


def assert_page_is_true(case: Case) -> None:
    """A version in work has somebody to do it; one that is shown is whole."""
    for version in Version.objects.filter(document__name=case.name, state__in=IN_WORK):
        assert Job.objects.filter(kind=Kind.INGEST, subject=version.id, state__in=OPEN_STATES).count() == 1


# A replacement is ingested by the same steps.
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.deep] if kind is Ingesting else []) for kind in IN_ONE_INDEX],
)
@pytest.mark.timeout(900)
def test_a_kill_at_every_boundary(kind: type[Case], tenancy: Tenancy, index: QdrantIndex) -> None:
    kills = walk(kind, tenancy, index, STRIDE)
    assert kills * STRIDE >= 6, "the work has more boundaries than that"


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_a_kill_at_every_boundary_of_another_index(
    tenancy: Tenancy, index: QdrantIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generations, "embed_with", lambda engine, generation: lambda texts: [])
    monkeypatch.setattr(building, "GRACE", timedelta(0))
    try:
        assert walk(Building, tenancy, index, STRIDE) * STRIDE >= 10
    finally:
        for generation in rows.kept():
            generations.index_of(generation).drop()
        connect.index.cache_clear()


def walk(kind: type[Case], tenancy: Tenancy, index: QdrantIndex, stride: int) -> int:
    for kills, case in enumerate(cases(kind, tenancy)):
        case.prepare()
        read_ahead(case)
        wire = Tripwire(1 + kills * stride)
        killed = in_a_fork(case.act, wire.stretch)
        recovered(case, index)
        if not killed:
            assert_all_agrees([kind])
            return kills
    raise AssertionError("there is always another case")


@pytest.mark.deep
@pytest.mark.skipif(STRIDE == 1, reason="done by the test above")
@pytest.mark.parametrize("kind", IN_ONE_INDEX)
@pytest.mark.timeout(3600)
def test_a_kill_at_every_boundary_of_the_other_database(
    kind: type[Case], tenancy: Tenancy, index: QdrantIndex
) -> None:
    assert walk(kind, tenancy, index, 1) >= 6


@pytest.mark.deep
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(10))
def test_kills_at_random_moments(seed: int, tenancy: Tenancy, index: QdrantIndex) -> None:
    rng = random.Random(seed)
    made = {kind: cases(kind, tenancy) for kind in IN_ONE_INDEX}
    killed = 0
    for number in range(40):
        case = next(made[rng.choice(IN_ONE_INDEX)])
        case.name = f"{number}-{case.name}"
        case.data += rng.randbytes(8).hex().encode()
        case.prepare()
        read_ahead(case)
        killed += in_a_fork(case.act, lambda: None, kill_after=rng.uniform(0, 0.4))
        recovered(case, index)
    print(f"seed {seed}: {killed} of 40 were killed before they were done")
    assert_all_agrees(IN_ONE_INDEX)
    assert killed


class TestDelivery:
    """A message that comes twice, late or out of order changes nothing."""

    @pytest.mark.parametrize(
        ("times", "seed"),
        [(3, 1), *(pytest.param(n, seed, marks=pytest.mark.deep) for n in (2, 3, 4, 5) for seed in range(5))],
    )
    def test_doubled_and_shuffled_messages_end_in_the_same_state(
        self, times: int, seed: int, tenancy: Tenancy, index: QdrantIndex
    ) -> None:
        rng = random.Random(seed)
        other = make_tenancy()
        for each in (tenancy, other):
            play(each, index, lambda jobs: [do(job) for job in jobs])
        once = state_of(tenancy, index)
        assert once == state_of(other, index)
        third = make_tenancy()
        play(third, index, lambda jobs: deliver(jobs, times, rng))
        assert state_of(third, index) == once
        assert not compare().found


def play(tenancy: Tenancy, index: QdrantIndex, done: Callable[[list[Job]], object]) -> None:
    """Uploads, a replacement, a move and a deletion, each followed by the delivery of its messages."""
    rng, scope = random.Random(2), scope_for(tenancy.person)
    for n in range(4):
        tenancy.upload(f"{n}.txt", text_of(rng))
    until_done(done)
    tenancy.upload("0.txt", text_of(rng))
    one, two = (Document.objects.get(tenant=tenancy.id, name=f"{n}.txt") for n in (1, 2))
    services.move_document(scope, one.id, tenancy.other.id)
    services.delete_document(scope, two.id)
    until_done(done)


def until_done(done: Callable[[list[Job]], object]) -> None:
    for _round in range(30):
        if not (jobs := make_due()):
            return
        done(jobs)
    raise AssertionError([(job.kind, job.state, job.error) for job in make_due()])


def deliver(jobs: list[Job], times: int, rng: random.Random) -> None:
    """Each message to several workers at once, to each in an order of its own."""
    connections.close_all()
    children = []
    for _worker in range(times):
        order = rng.sample(jobs * 2, len(jobs) * 2)
        child = os.fork()
        if not child:
            code = 1
            try:
                connect.index.cache_clear()
                jobs_broker.client.cache_clear()
                for job in order:
                    do(job)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    for child in children:
        _pid, status = os.waitpid(child, 0)
        assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def state_of(tenancy: Tenancy, index: QdrantIndex) -> Any:
    """All that is there, without the ids that differ between tenants."""
    names = {tenancy.library.id: "library", tenancy.other.id: "other"}
    versions: dict[UUID | None, str] = {
        version.id: f"{version.document.name}/{version.number}"
        for version in Version.objects.filter(tenant=tenancy.id).select_related("document")
    }
    rows = Version.objects.filter(tenant=tenancy.id).select_related("document", "document__current")
    points = list(index.stored_points(tenancy.id))
    assert len({point.id for point in points}) == len(points)
    return {
        "versions": sorted(
            (
                versions[row.id],
                row.state,
                names[row.document.library_id],
                row.document.current == row,
                row.passages.count(),
                blobs.is_whole(row.tenant, row.sha256),
            )
            for row in rows
        ),
        "points": Counter(
            (versions[point.version], names[point.library]) for point in points if point.library
        ),
        "jobs": Counter(Job.objects.filter(tenant=tenancy.id).values_list("kind", "state")),
        "events": Counter(AuditEvent.objects.filter(tenant=tenancy.id).values_list("action", flat=True)),
    }
