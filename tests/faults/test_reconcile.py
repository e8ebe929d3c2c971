"""What the index lacks, or holds too much of, is found by comparing it with the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from muniment.documents.models import Document, Version
from muniment.jobs.models import Job, Kind
from tests.engines.index_process import IndexProcess
from tests.factories import make_document, make_library, make_tenant
from workers.engines import IndexUnavailable, PassageIndex, Point, connect
from workers.engines.sparse import passage_vector
from workers.upkeep import reconcile

pytestmark = pytest.mark.django_db


@pytest.fixture
def index(tmp_path: Path, settings: Any) -> Iterator[PassageIndex]:
    process = IndexProcess(tmp_path / "index", tmp_path / "index.sock").start()
    settings.INDEX_URL = process.url
    connect.index.cache_clear()
    yield connect.index(384, 1)
    connect.index.cache_clear()
    process.stop()


@pytest.fixture
def documents(index: PassageIndex) -> list[Document]:
    """Two documents of one tenant and one of another, all whole in the index."""
    here, there = make_library(make_tenant()), make_library(make_tenant())
    made = [
        make_document(here, "a.txt", ["One.", "Two."]),
        make_document(here, "b.txt", ["Three."]),
        make_document(there, "c.txt", ["Four."]),
    ]
    for document in made:
        for passage in _version(document).passages.all():
            index.upsert([_point(document, passage.id, passage.text)])
    return made


def _version(document: Document) -> Version:
    assert document.current
    return document.current


def _point(document: Document, id: UUID, text: str) -> Point:
    return Point(
        id=id,
        dense=[1.0] + [0.0] * 383,
        sparse=passage_vector(text),
        tenant=document.tenant,
        library=document.library_id,
        document=document.id,
        version=_version(document).id,
        label=document.label,
    )


def _ordered() -> set[tuple[UUID, UUID]]:
    return set(Job.objects.filter(kind=Kind.REINDEX).values_list("tenant", "subject"))


def test_a_whole_index_is_left_alone(documents: list[Document]) -> None:
    assert reconcile.everything() == reconcile.sample() == 0
    assert _ordered() == set()


def test_a_document_without_its_points_is_indexed_again(
    index: PassageIndex, documents: list[Document]
) -> None:
    lost = documents[2]
    index.delete_versions(lost.tenant, [_version(lost).id])
    assert reconcile.sample() == 1
    assert _ordered() == {(lost.tenant, _version(lost).id)}


def test_points_too_many_are_found_as_well(index: PassageIndex, documents: list[Document]) -> None:
    index.upsert([_point(documents[0], uuid4(), "of nobody")])
    assert reconcile.everything() == 1


def test_nothing_is_ordered_twice(index: PassageIndex, documents: list[Document]) -> None:
    index.delete_versions(documents[1].tenant, [_version(documents[1]).id])
    assert (reconcile.everything(), reconcile.everything()) == (1, 0)
    # While repairs are on their way, nobody needs to look for more.
    assert reconcile.sample() == 0


def test_an_index_that_is_away_has_lost_nothing(settings: Any, tmp_path: Path) -> None:
    make_document(make_library(make_tenant()))
    settings.INDEX_URL = f"unix:{tmp_path}/nobody.sock"
    connect.index.cache_clear()
    with pytest.raises(IndexUnavailable):
        reconcile.sample()
    assert _ordered() == set()
