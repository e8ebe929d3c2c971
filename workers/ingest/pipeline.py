"""From bytes to a published version: read, split, embed, index, count, publish.

Every stage can be done again: rows are replaced, point ids follow from what they index. So a worker may die
anywhere; whoever takes the job next finishes it once.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID, uuid5

from django.db import transaction
from django.db.models import QuerySet

from muniment.documents import services as documents
from muniment.documents.blobs import blob_path
from muniment.documents.errors import IndexChanged
from muniment.documents.generations import adopt_cut, building, cut_of, mark
from muniment.documents.layout import HEADING_SEPARATOR, pack_words
from muniment.documents.models import IN_WORK, Document, Generation, Page, Passage, Version, VersionState
from muniment.documents.queries import text_of
from muniment.jobs import services as jobs
from muniment.pages.errors import Conflict
from muniment.scope import Scope
from muniment.tenancy.services import system_scope
from workers import generations
from workers.engines import Point, SparseVector
from workers.engines.sparse import passage_vector, stemmer_of
from workers.ingest.document import Block, ReadDocument
from workers.ingest.document import Page as ReadPage
from workers.ingest.errors import KilledReader, ReadError
from workers.ingest.limits import Limits
from workers.ingest.sandbox import read_in_child
from workers.ingest.split import split
from workers.leases import Lease

log = logging.getLogger(__name__)

NAMESPACE = UUID("6f6a1f0e-3c0d-4b52-9d4e-2a9f6c1b7e55")
# A worker that dies again and again over the same document leaves it aside.
MOST_ATTEMPTS = 5
MOST_READER_DEATHS = 3
# Passages embedded and written at once.
BATCH = 64
# Splitting and storing what a long document holds.
STORE_SECONDS = 300
# Room for title and headings, which are embedded with each passage but are not part of it.
CONTEXT_TOKENS = 48
CONTEXT_CHARS = 160
# A model that reads far more at once still finds best what is about one thing.
MOST_TOKENS = 512
# Passages aim at this part of what the embedder reads, so that a last short sentence still fits.
TARGET_SHARE = 0.87


def ingest(lease: Lease) -> None:
    """Bring one version to published or failed. Raises `LeaseLost`, `IndexUnavailable`."""
    job = lease.job
    scope = system_scope(job.tenant, job.request_id)
    version = Version.objects.select_related("document").get(pk=job.subject, tenant=job.tenant)
    if version.state not in IN_WORK:
        return  # who ended it was killed before the job was ended, too
    if job.attempt > MOST_ATTEMPTS:
        _give_up(scope, version, "interrupted")
        return
    try:
        if version.state != VersionState.EMBEDDING:
            _read(lease, version)
        _index_and_publish(lease, scope, version)
    except Conflict:
        # Deleted, replaced or done by somebody else meanwhile: then the lease is gone, and nothing is wrong.
        lease.check()
        raise
    except KilledReader as error:
        _count_death(lease, scope, version, error)
        return
    except ReadError as error:
        _give_up(scope, version, error.code)
        return
    documents.tell(version, {"stage": VersionState.PUBLISHED.value})


def _index_and_publish(lease: Lease, scope: Scope, version: Version) -> None:
    """Into the generation that answers; into the next one, where that took over in the meantime."""
    while True:
        generation = generations.serving()
        if cut_anew(version, generation):
            adopt_cut(version, generation)
        _embed(version, generation, _reporter(lease, version, "embedding"))
        mark(version, generation.number)
        lease.check()
        try:
            return documents.publish(scope, version)
        except IndexChanged:
            log.info("ingest.again version=%s", version.id)


def _give_up(scope: Scope, version: Version, code: str) -> None:
    """What an earlier try wrote into the index goes first: a document that failed has no passages there."""
    if version.passage_count:
        generations.index_of(generations.serving()).delete_versions(version.tenant, [version.id])
    documents.fail(scope, version, code)
    documents.tell(version, {"stage": VersionState.FAILED.value, "code": code})


def _count_death(lease: Lease, scope: Scope, version: Version, error: KilledReader) -> None:
    version.reader_deaths += 1
    version.save(update_fields=["reader_deaths"])
    if version.reader_deaths >= MOST_READER_DEATHS:
        _give_up(scope, version, error.code)
    else:
        jobs.give_back(lease.job, 1, error.code)


def _read(lease: Lease, version: Version) -> None:
    documents.begin_reading(version)
    path = blob_path(version.tenant, version.sha256)
    limits = Limits()
    # A table of one page is read without a word; another worker must not begin with it meanwhile.
    with lease.kept(limits.wall + STORE_SECONDS):
        read = read_in_child(path, version.document.name, limits, _reporter(lease, version, "reading"))
        generation = generations.serving()
        documents.store_text(
            version,
            _pages(version, read),
            _passages(version, generation, generation.number, read),
            read.title,
            cut=generation.number,
            media_type=read.media_type[:100],
            language=read.language[:20],
            warnings=read.warnings[:50],
        )


def _reporter(lease: Lease, version: Version, stage: str) -> Callable[[int, int], None]:
    """Progress to the browser at most twice a second, and the lease kept on the way."""
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        lease.beat()
        now = time.monotonic()
        if now - last >= 0.5 or done == total:
            last = now
            documents.tell(version, {"stage": stage, "done": done, "total": total})

    return report


def _pages(version: Version, read: ReadDocument) -> Iterator[Page]:
    for page in read.pages:
        yield Page(
            tenant=version.tenant,
            version=version,
            number=page.number,
            label=page.label[:60],
            start=page.start,
            end=page.end,
            width=page.width,
            height=page.height,
            blocks=[[block.kind, block.start, block.end, block.level] for block in page.blocks],
            words=pack_words((w.start, w.end, *w.box) for w in page.words) if page.words else None,
        )


def passage_id(version: Version, cut: int, ordinal: int, sha256: str) -> UUID:
    """It follows from the text and the cut: done again, the same passages are written once more."""
    return uuid5(NAMESPACE, f"{version.tenant}|{version.id}|{cut}|{ordinal}|{sha256}")


def _passages(version: Version, generation: Generation, cut: int, read: ReadDocument) -> Iterator[Passage]:
    """The text cut to the size that the generation's embedder reads."""
    embedder = generations.embedder_of(generation)
    limit = min(embedder.max_tokens, MOST_TOKENS) - CONTEXT_TOKENS
    for piece in split(read, embedder.count_tokens, target=round(limit * TARGET_SHARE), limit=limit):
        sha256 = hashlib.sha256(piece.text.encode()).hexdigest()
        yield Passage(
            id=passage_id(version, cut, piece.ordinal, sha256),
            tenant=version.tenant,
            version=version,
            cut=cut,
            ordinal=piece.ordinal,
            start=piece.start,
            end=piece.end,
            page=piece.page,
            page_end=piece.page_end,
            heading=piece.heading,
            text=piece.text,
            sha256=sha256,
        )


def cut_anew(version: Version, generation: Generation) -> bool:
    """Store the passages that a generation needs besides those that there are; whether it needs any.

    They are cut from the stored text, so no original is opened, and nothing moves in it that answers name.
    """
    cut = cut_of(version, generation)
    if cut == version.cut:
        return False
    if not version.passages.filter(cut=cut).exists():
        Passage.objects.bulk_create(
            _passages(version, generation, cut, stored_document(version)), batch_size=500
        )
    return True


def stored_document(version: Version) -> ReadDocument:
    """What the reader saw, but for the kind of white space between passages."""
    pages = list(version.pages.order_by("number"))
    return ReadDocument(
        text=text_of(version, 0, pages[-1].end if pages else 0),
        pages=[
            ReadPage(
                number=page.number,
                label=page.label,
                start=page.start,
                end=page.end,
                width=page.width,
                height=page.height,
                blocks=[Block(*block) for block in page.blocks],
            )
            for page in pages
        ],
        title=version.document.title,
        media_type=version.media_type,
    )


def _embed(version: Version, generation: Generation, report: Callable[[int, int], None]) -> None:
    """Vectors for every passage, written and counted. Raises `IndexMiscounts` where the count is off."""
    embedder, index = generations.embedder_of(generation), generations.index_of(generation)
    document, stemmer = Document.objects.get(pk=version.document_id), stemmer_of(version.language)
    passages = version.passages.filter(cut=cut_of(version, generation))
    total, done = passages.count(), 0
    for batch in passage_batches(passages):
        report(done, total)
        texts = [searched_text(document, passage) for passage in batch]
        vectors = embedder.encode(texts)
        report(done, total)
        index.upsert(
            [
                _point(document, passage, vector.tolist(), passage_vector(text, stemmer))
                for passage, vector, text in zip(batch, vectors, texts, strict=True)
            ]
        )
        done += len(batch)
    report(done, total)
    found = index.count(version.tenant, version.id)
    if found > total:
        # Left by an earlier try that split the text in another way.
        index.delete_versions(version.tenant, [version.id])
    if found != total:
        raise IndexMiscounts(f"{found} points for {total} passages")
    now = Document.objects.get(pk=version.document_id)
    if (now.library_id, now.label) != (document.library_id, document.label):
        index.move_document(now.tenant, now.id, now.library_id, now.label)


def passage_batches(passages: QuerySet[Passage]) -> Iterator[list[Passage]]:
    """One version's passages in order, each batch by a query of its own.

    One long query would keep SQLite's view of the moment when it began, and whoever writes on that connection
    after somebody else did is told at once that the database is locked.
    """
    last = -1
    while batch := list(passages.filter(ordinal__gt=last).order_by("ordinal")[:BATCH]):
        yield batch
        last = batch[-1].ordinal


class IndexMiscounts(Exception):
    """The index acknowledged other points than were written; trying again overwrites them."""


def searched_text(document: Document, passage: Passage) -> str:
    """What is embedded and whose words are indexed: the passage under its title and headings."""
    return f"{_context(document, passage)}\n{passage.text}"


def _context(document: Document, passage: Passage) -> str:
    """Title and headings, cut to the room that is kept for them."""
    text = HEADING_SEPARATOR.join(filter(None, (document.title or document.name, passage.heading)))
    return text if len(text) <= CONTEXT_CHARS else text[-CONTEXT_CHARS:].split(" ", 1)[-1]


def _point(document: Document, passage: Passage, vector: Sequence[float], words: SparseVector) -> Point:
    return Point(
        id=passage.id,
        dense=vector,
        sparse=words,
        tenant=passage.tenant,
        library=document.library_id,
        document=document.id,
        version=passage.version_id,
        label=document.label,
    )


def reindex(lease: Lease) -> None:
    """The points of a published version once more, from its stored passages; people read it meanwhile."""
    job = lease.job
    version = Version.objects.select_related("document").get(pk=job.subject, tenant=job.tenant)
    if version.state != VersionState.PUBLISHED:
        return
    if job.attempt > MOST_ATTEMPTS:
        jobs.fail(job, "interrupted")
        return
    generation = generations.serving()
    index = generations.index_of(generation)
    if index.count(version.tenant, version.id) > version.passage_count:
        index.delete_versions(version.tenant, [version.id])
    _embed(version, generation, lambda done, total: lease.beat())
    version.refresh_from_db()
    if version.state != VersionState.PUBLISHED:
        # Retired while it was in work; its removal may have been quicker.
        index.delete_versions(version.tenant, [version.id])


def build(lease: Lease) -> None:
    """A published version into the index that is being built beside the one that answers."""
    job, generation = lease.job, building()
    version = Version.objects.select_related("document").get(pk=job.subject, tenant=job.tenant)
    if generation is None or version.state != VersionState.PUBLISHED:
        return
    if version.indexed_in >= generation.number:
        return
    if job.attempt > MOST_ATTEMPTS:
        jobs.fail(job, "interrupted")
        return
    with lease.kept(STORE_SECONDS):
        cut_anew(version, generation)
    _embed(version, generation, lambda done, total: lease.beat())
    if not mark(version, generation.number):
        # Retired while it was in work; its removal may have been quicker.
        generations.index_of(generation).delete_versions(version.tenant, [version.id])


def remove(lease: Lease) -> None:
    """A replaced version loses its points; a deleted one also its text, pictures and bytes."""
    job, points = lease.job, 0
    version = Version.objects.select_related("document").get(pk=job.subject, tenant=job.tenant)
    for generation in generations.kept():
        index = generations.index_of(generation)
        points += index.count(version.tenant, version.id)
        index.delete_versions(version.tenant, [version.id])
    if version.state == VersionState.DELETED:
        documents.drop_files(version)
        with transaction.atomic():
            lease.finish()
            documents.forget_version(system_scope(job.tenant, job.request_id), version, points)


def move(lease: Lease) -> None:
    """Library and label of a document's points follow the database."""
    document = Document.objects.get(pk=lease.job.subject, tenant=lease.job.tenant)
    for generation in generations.kept():
        index = generations.index_of(generation)
        index.move_document(document.tenant, document.id, document.library_id, document.label)
