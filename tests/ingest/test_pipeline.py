"""Embedding goes over many passages while others write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import connection

from muniment.documents.models import Passage, Version
from muniment.jobs.models import Job, Kind
from muniment.jobs.services import create
from muniment.scope import Scope
from tests.factories import make_document, make_library, make_tenant
from workers.ingest.pipeline import passage_batches

MANY = 2_500


@pytest.fixture
def version(transactional_db: None) -> Version:
    document = make_document(make_library(make_tenant()), "long.txt")
    version = document.versions.get()
    version.passages.all().delete()
    Passage.objects.bulk_create(
        Passage(
            id=uuid4(),
            tenant=version.tenant,
            version=version,
            ordinal=n,
            start=n,
            end=n + 1,
            page=1,
            page_end=1,
        )
        for n in range(MANY)
    )
    return version


def test_a_document_of_many_passages_is_gone_over_while_others_write(version: Version) -> None:
    scope = Scope(tenant=version.tenant)
    job = create(scope, Kind.INGEST, version.id)

    def somebody_else_writes() -> None:
        create(scope, Kind.MOVE, uuid4())
        connection.close()

    seen: list[int] = []
    with ThreadPoolExecutor(1) as others:
        for batch in passage_batches(version.passages.all()):
            others.submit(somebody_else_writes).result()
            # As the lease is kept meanwhile.
            Job.objects.filter(pk=job.pk).update(attempt=1)
            seen += [passage.ordinal for passage in batch]
    assert seen == list(range(MANY))
