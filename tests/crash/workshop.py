"""The stages of ingest in the tests' own process: real database, index and files, jobs done one by one.

Only vectors are made up, so that no model has to be loaded: these tests are about what is where.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import numpy
from django.utils import timezone

from muniment.accounts.models import Person
from muniment.documents.models import Document, Version
from muniment.documents.uploads import upload_whole
from muniment.jobs.models import OPEN_STATES, Job, Kind
from muniment.tenancy.models import Library
from tests.factories import make_library, make_person, make_tenant, scope_for
from workers.ingest import pipeline
from workers.leases import Lease, work

DIMENSION = 384
STAGES: dict[str, Callable[[Lease], None]] = {
    Kind.INGEST: pipeline.ingest,
    Kind.REMOVE: pipeline.remove,
    Kind.MOVE: pipeline.move,
    Kind.REINDEX: pipeline.reindex,
    Kind.BUILD: pipeline.build,
}


class MadeUpEmbedder:
    """The same text has the same vector, which means nothing."""

    dimension, max_tokens = DIMENSION, 128

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode(self, texts: Sequence[str]) -> numpy.ndarray:
        return numpy.array([numpy.random.default_rng(len(text)).random(DIMENSION) for text in texts])


def text_of(rng: random.Random, passages: int = 3) -> bytes:
    """About so many passages of made-up words."""
    words = ["".join(rng.choices("abdegiklmnorstu", k=rng.randint(3, 8))) for _ in range(200)]
    return "\n\n".join(" ".join(rng.choices(words, k=70)) for _ in range(passages)).encode()


@dataclass
class Tenancy:
    """A tenant with two libraries and somebody who may do everything in them."""

    person: Person
    library: Library
    other: Library

    @property
    def id(self) -> UUID:
        return self.library.tenant_id

    def upload(self, name: str, data: bytes) -> Version:
        document = upload_whole(scope_for(self.person), self.library.id, name, [data], len(data))
        return document.versions.latest("number")


def make_tenancy() -> Tenancy:
    tenant = make_tenant()
    person = make_person(tenant)
    made = [make_library(tenant, name, contributors=[person]) for name in ("Handbook", "Attic")]
    return Tenancy(person, *made)


def make_due() -> list[Job]:
    """Open jobs, none of which waits any more before it is tried again."""
    before = timezone.now() - timedelta(seconds=1)
    Job.objects.filter(state__in=OPEN_STATES).update(next_at=before)
    return list(Job.objects.filter(state__in=OPEN_STATES, kind__in=STAGES).order_by("created_at"))


def do(job: Job) -> None:
    work(str(job.id), str(job.tenant), STAGES[job.kind], patient=True)


def do_everything() -> None:
    """All open jobs, and those that they order, until there is none."""
    for _round in range(20):
        due = make_due()
        for job in due:
            do(job)
        if not due:
            return
    raise AssertionError([(job.kind, job.state, job.error, job.attempt) for job in make_due()])


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def document_of(version: Version) -> Document:
    return Document.objects.get(pk=version.document_id)
