"""What is read of documents: always through a scope."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Lower

from muniment.documents.models import IN_WORK, Document, Page, Passage, Upload, Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.queries import places_in_queue
from muniment.pages.errors import NotFound
from muniment.scope import Label, Scope
from muniment.tenancy.models import Library

READABLE = (VersionState.PUBLISHED, VersionState.SUPERSEDED)
# How many finished files an estimate is learned from, and how far it is stretched.
LEARN_FROM = 20
LEARN_FROM_AT_LEAST = 3
FAR_LARGER = 10


def visible_documents(scope: Scope) -> QuerySet[Document]:
    """Documents in libraries the scope reads, up to its clearance, published or not."""
    return Document.objects.filter(
        tenant=scope.tenant,
        library__in=scope.libraries,
        library__deleted_at=None,
        label__lte=scope.clearance,
        deleted_at=None,
    )


def highest_label(scope: Scope, documents: Collection[UUID]) -> int:
    """How secret a text made of these documents is, whether or not this person may read each of them.

    A label above one's clearance tells that there is such a document, and nothing else of it.
    """
    rows = Document.objects.filter(tenant=scope.tenant, pk__in=documents)
    labels = list(rows.values_list("label", flat=True))
    return max(labels) if labels and len(labels) == len(documents) else Label.SECRET


def document(scope: Scope, document: UUID) -> Document:
    found = visible_documents(scope).select_related("library", "current").filter(pk=document).first()
    if found is None:
        raise NotFound
    return found


def version(scope: Scope, version: UUID) -> Version:
    """A version in any state of a document that the scope reads."""
    rows = Version.objects.select_related("document", "document__library")
    found = rows.filter(pk=version, document__in=visible_documents(scope)).first()
    if found is None:
        raise NotFound
    return found


def readable_version(scope: Scope, version: UUID) -> Version:
    """A version that was published once and still is there: an old answer may cite a replaced one."""
    found = (
        Version.objects.select_related("document", "document__library")
        .filter(
            pk=version,
            document__in=visible_documents(scope),
            state__in=READABLE,
        )
        .first()
    )
    if found is None:
        raise NotFound
    return found


def published_documents(scope: Scope, library: UUID) -> QuerySet[Document]:
    """What is there, by name."""
    return (
        visible_documents(scope)
        .filter(library=library, current__state=VersionState.PUBLISHED)
        .select_related("current")
        .order_by(Lower("name"), "name")
    )


def with_endings(documents: QuerySet[Document], endings: Iterable[str]) -> QuerySet[Document]:
    """Those whose file name ends in one of these."""
    kept = Q()
    for ending in endings:
        kept |= Q(name__iendswith=ending)
    return documents.filter(kept)


def version_counts(documents: Iterable[Document]) -> dict[UUID, int]:
    """How many versions of each document can be read."""
    rows = Version.objects.filter(document__in=list(documents), state__in=READABLE)
    return dict(rows.values_list("document").annotate(versions=Count("pk")))


def unfinished_versions(scope: Scope, library: UUID) -> QuerySet[Version]:
    """What is in work or failed, one a document: uploading again retires what was unfinished before."""
    return (
        Version.objects.filter(document__in=visible_documents(scope), document__library=library)
        .filter(state__in=(*IN_WORK, VersionState.FAILED))
        .select_related("document")
    )


def published_since(scope: Scope, library: UUID, moment: datetime) -> int:
    """How many versions that were added after a moment are published already."""
    return Version.objects.filter(
        document__in=visible_documents(scope),
        document__library=library,
        created_at__gte=moment,
        published_at__isnull=False,
    ).count()


def page(version: Version, number: int) -> Page:
    found = version.pages.filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def passage(version: Version, passage: UUID) -> Passage:
    """A passage of this very version."""
    found = version.passages.filter(pk=passage).first()
    if found is None:
        raise NotFound
    return found


def page_labels(passages: Iterable[Passage]) -> dict[UUID, str]:
    """The label of the page on which each passage begins."""
    begin = {passage.id: (passage.version_id, passage.page) for passage in passages}
    pages = Page.objects.filter(
        version__in={version for version, _number in begin.values()},
        number__in={number for _version, number in begin.values()},
    )
    labels = {
        (version, number): label for version, number, label in pages.values_list("version", "number", "label")
    }
    return {passage: labels.get(page, "") for passage, page in begin.items()}


def versions_of(document: Document) -> QuerySet[Version]:
    """The versions that can be read, newest first."""
    return document.versions.filter(state__in=READABLE).order_by("-number")


def passages_on(version: Version, start: int, end: int) -> list[Passage]:
    """The passages that overlap a range of the document's text, in order."""
    return list(version.own_passages.filter(start__lt=end, end__gt=start).order_by("ordinal"))


def text_of(version: Version, start: int, end: int) -> str:
    """The document's text in a range: passages joined by the white space that stood between them."""
    parts: list[str] = []
    at = start
    for passage in passages_on(version, start, end):
        if passage.start > at:
            parts.append("\n" * (passage.start - at))
            at = passage.start
        parts.append(passage.text[at - passage.start : end - passage.start])
        at = min(passage.end, end)
    if at < end:
        parts.append("\n" * (end - at))
    return "".join(parts)


def passages_around(passages: Iterable[Passage], distance: int = 2) -> list[Passage]:
    """What stands within `distance` before and after, but these themselves, in one query. Whoever may read
    a passage may read what is beside it."""
    among = Q(pk__in=[])
    rows = list(passages)
    for row in rows:
        near = row.ordinal - distance, row.ordinal + distance
        among |= Q(version=row.version_id, cut=row.cut, ordinal__range=near)
    found = Passage.objects.filter(among).exclude(pk__in=[row.pk for row in rows])
    return list(found.select_related("version__document").order_by("version", "ordinal"))


def published_passages(scope: Scope, ids: Iterable[UUID]) -> dict[UUID, Passage]:
    """The passages among `ids` that this scope may read and whose version is the published one.

    This joins what the index returns with the truth: a deleted, replaced or moved document's points may
    still be in the index for a moment.

    Three look-ups by id: as one join PostgreSQL went through all documents of the tenant for each of them.
    """
    passages = list(Passage.objects.filter(tenant=scope.tenant, pk__in=list(ids)))
    asked = {passage.version_id for passage in passages}
    published = Version.objects.filter(tenant=scope.tenant, pk__in=asked, state=VersionState.PUBLISHED)
    versions = {version.id: version for version in published}
    visible = visible_documents(scope).select_related("library")
    documents = visible.in_bulk({version.document_id for version in versions.values()})
    found = {}
    for passage in passages:
        version = versions.get(passage.version_id)
        document = documents.get(version.document_id) if version else None
        if version and document and document.current_id == version.id:
            passage.version, version.document = version, document
            found[passage.id] = passage
    return found


@dataclass(frozen=True)
class Published:
    """What is published of a document, in how many passages, and under which file name and title."""

    version: UUID
    names: str
    passages: int


def published_as(scope: Scope, documents: Iterable[UUID]) -> dict[UUID, Published]:
    """The published ones among `documents` that this scope may read."""
    rows = visible_documents(scope).filter(pk__in=list(documents), current__state=VersionState.PUBLISHED)
    found = rows.values_list("pk", "current", "name", "title", "current__passage_count")
    return {
        pk: Published(current, f"{name} {title}".strip(), passages)
        for pk, current, name, title, passages in found
        if current
    }


def languages(scope: Scope, libraries: Iterable[UUID]) -> set[str]:
    """The languages of what is published in these libraries, by their codes; "" for texts of none that is
    sure."""
    published = Version.objects.filter(tenant=scope.tenant, state=VersionState.PUBLISHED)
    published = published.filter(document__library__in=list(scope.libraries & frozenset(libraries)))
    return set(published.values_list("language", flat=True).distinct())


@dataclass(frozen=True)
class Place:
    """Where a passage stands: it is number `ordinal`, from 0, of a version's passages."""

    version: UUID
    ordinal: int
    of: int


def places_of(scope: Scope, published: Iterable[Published], passages: Iterable[UUID]) -> dict[UUID, Place]:
    """Where those among `passages` stand that are of what is published; what is shown is asked for anew."""
    counts = {one.version: one.passages for one in published}
    rows = Passage.objects.filter(tenant=scope.tenant, pk__in=list(passages))
    found = rows.values_list("pk", "version", "ordinal")
    return {pk: Place(version, at, counts[version]) for pk, version, at in found if version in counts}


def texts_of(scope: Scope, passages: Iterable[UUID]) -> dict[UUID, str]:
    """Heading and text of many passages of the tenant, for comparing; what is shown is asked for anew."""
    rows = Passage.objects.filter(tenant=scope.tenant, pk__in=list(passages))
    return {pk: f"{heading}\n{text}" for pk, heading, text in rows.values_list("pk", "heading", "text")}


def neighbours(passage: Passage, distance: int = 1) -> list[Passage]:
    return list(
        Passage.objects.filter(
            version=passage.version_id,
            cut=passage.cut,
            ordinal__gte=passage.ordinal - distance,
            ordinal__lte=passage.ordinal + distance,
        ).order_by("ordinal")
    )


def upload(scope: Scope, upload: UUID) -> Upload:
    """A person's own upload."""
    if scope.person is None:
        raise NotFound
    found = (
        Upload.objects.select_related("library")
        .filter(pk=upload, tenant=scope.tenant, person=scope.person, library__in=scope.contributes)
        .first()
    )
    if found is None:
        raise NotFound
    return found


@dataclass(frozen=True)
class LibraryCounts:
    documents: int
    pages: int
    passages: int


def counts(scope: Scope, library: UUID) -> LibraryCounts:
    found = published_documents(scope, library).aggregate(
        documents=Count("pk"), pages=Sum("current__page_count"), passages=Sum("current__passage_count")
    )
    return LibraryCounts(found["documents"], found["pages"] or 0, found["passages"] or 0)


def document_counts(scope: Scope) -> dict[UUID, int]:
    """How many published documents each readable library has, for this person.

    Every page shows them, so nothing is joined: a document's current version is a published one, and a
    scope's libraries are there.
    """
    published = Document.objects.filter(
        tenant=scope.tenant,
        library__in=scope.libraries,
        label__lte=scope.clearance,
        deleted_at=None,
        current__isnull=False,
    )
    counted = published.values_list("library").annotate(documents=Count("pk"))
    return dict.fromkeys(scope.libraries, 0) | dict(counted)


def waiting_places(scope: Scope, versions: Iterable[Version]) -> dict[UUID, int]:
    return places_in_queue(scope, Kind.INGEST, [version.id for version in versions])


@dataclass(frozen=True)
class Pace:
    """How long files took lately, and the largest of them: what is far larger is not guessed."""

    seconds_per_byte: float
    largest: int

    def seconds(self, size: int) -> float | None:
        return self.seconds_per_byte * size if size <= self.largest * FAR_LARGER else None


def pace(scope: Scope) -> Pace | None:
    """From the tenant's last published versions; None while there is too little to learn from."""
    rows = Version.objects.filter(
        tenant=scope.tenant, published_at__isnull=False, started_at__isnull=False, size__gt=0
    ).order_by("-published_at")
    learned = [
        ((done - begun).total_seconds(), size)
        for begun, done, size in rows.values_list("started_at", "published_at", "size")[:LEARN_FROM]
        if begun and done
    ]
    if len(learned) < LEARN_FROM_AT_LEAST:
        return None
    sizes = [size for _seconds, size in learned]
    return Pace(sum(seconds for seconds, _size in learned) / sum(sizes), max(sizes))


def documents_in(library: Library) -> QuerySet[Document]:
    """All documents of a library whoever may read them: for deleting it, not for showing."""
    return Document.objects.filter(tenant=library.tenant_id, library=library, deleted_at=None)
