"""What happens to documents. Work that takes longer than a request is a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from muniment.audit import actions
from muniment.audit.actions import Outcome, Stage
from muniment.audit.services import Thing, record, record_alone
from muniment.documents import blobs, generations, queries
from muniment.documents.errors import IndexChanged, NameTaken
from muniment.documents.models import (
    IN_WORK,
    VERSION_MOVES,
    Document,
    Page,
    Passage,
    Version,
    VersionState,
)
from muniment.documents.queries import document as readable_document
from muniment.documents.queries import documents_in
from muniment.jobs import services as jobs
from muniment.jobs.models import Kind
from muniment.jobs.streams import append, library_key
from muniment.pages.errors import Conflict, Forbidden, Invalid, NotFound
from muniment.scope import Label, Scope
from muniment.tenancy.models import Library, Tenant
from muniment.tenancy.queries import library_to_administer, readable_libraries
from muniment.tenancy.services import close_library


def add_version(
    scope: Scope, library: Library, name: str, sha256: str, size: int, label: int | None = None
) -> Document:
    """In the open transaction: a document, or the next version of the one with this name, and its job.

    Bytes that are the newest version's already change nothing. A new document gets `label`, or the library's.
    """
    if library.id not in scope.contributes:
        raise Forbidden(_("You may read this library but not add to it."))
    document = Document.objects.filter(library=library, name=name, deleted_at=None).first()
    if document is None:
        document = Document.objects.create(
            tenant=scope.tenant,
            library=library,
            name=name,
            label=library.label if label is None else label,
            added_by=scope.person,
        )
    else:
        require_free_name(scope, library.id, name)
    newest = document.versions.order_by("-number").first()
    if newest and newest.sha256 == sha256 and newest.state in {*IN_WORK, VersionState.PUBLISHED}:
        return document
    version = Version.objects.create(
        tenant=scope.tenant,
        document=document,
        number=(newest.number if newest else 0) + 1,
        sha256=sha256,
        size=size,
        added_by=scope.person,
    )
    if newest and newest.state in {*IN_WORK, VersionState.FAILED}:
        _retire(scope, newest, VersionState.DELETED)
    record(
        scope,
        actions.DOCUMENT_UPLOADED,
        _thing(document, version),
        details={
            "library": library.id,
            "version": version.id,
            "size": size,
            "sha256": sha256,
            "number": version.number,
        },
        private={"name": name},
    )
    jobs.create(scope, Kind.INGEST, version.id)
    transaction.on_commit(partial(tell, version, {"stage": VersionState.RECEIVED.value}))
    return document


def require_free_name(scope: Scope, library: UUID, name: str) -> None:
    """Raise `NameTaken` where a document above the person's clearance has the name."""
    same_name = Document.objects.filter(tenant=scope.tenant, library=library, name=name, deleted_at=None)
    if same_name.filter(label__gt=scope.clearance).exists():
        raise NameTaken


def _retire(scope: Scope, version: Version, state: VersionState) -> None:
    """Take a version out of view; its points, passages and bytes go by a job."""
    jobs.cancel(scope, Kind.INGEST, version.id)
    jobs.cancel(scope, Kind.REINDEX, version.id)
    jobs.cancel(scope, Kind.BUILD, version.id)
    move_version(version, state)
    jobs.create(scope, Kind.REMOVE, version.id)


def move_version(version: Version, state: VersionState, **fields: object) -> None:
    """Change a version's state by the table of allowed moves; raises `Conflict` otherwise."""
    allowed = [before for before, after in VERSION_MOVES.items() if state in after]
    changed = Version.objects.filter(pk=version.pk, state__in=allowed).update(state=state, **fields)
    if not changed:
        raise Conflict
    version.refresh_from_db()


def tell(version: Version, data: Mapping[str, object]) -> None:
    """Push progress to whoever looks at the library."""
    key = library_key(version.tenant, version.document.library_id)
    append(key, "progress", {"version": str(version.id), "document": str(version.document_id), **data})


def begin_reading(version: Version) -> None:
    move_version(version, VersionState.READING, started_at=timezone.now(), error_code="")


def store_text(
    version: Version, pages: Iterable[Page], passages: Iterable[Passage], title: str, **facts: object
) -> None:
    """Replace what an earlier try stored by what was read now, and go on to embedding.

    `facts` are media_type, language and warnings.
    """
    with transaction.atomic():
        version.pages.all().delete()
        version.passages.all().delete()
        page_count = len(Page.objects.bulk_create(pages, batch_size=500))
        passage_count = len(Passage.objects.bulk_create(passages, batch_size=500))
        move_version(
            version,
            VersionState.EMBEDDING,
            page_count=page_count,
            passage_count=passage_count,
            **facts,
        )
        Document.objects.filter(pk=version.document_id).update(title=title[:255])


@transaction.atomic
def publish(scope: Scope, version: Version) -> None:
    """Make a version the one that people see. Its points are in the index and were counted.

    Raises `IndexChanged` where another index answers by now.
    """
    if version.indexed_in < generations.hold():
        raise IndexChanged
    document = Document.objects.select_for_update().get(pk=version.document_id)
    before = document.current
    move_version(version, VersionState.PUBLISHED, published_at=timezone.now())
    document.current = version
    document.save(update_fields=["current"])
    if before and before.state == VersionState.PUBLISHED:
        move_version(before, VersionState.SUPERSEDED)
        jobs.create(scope, Kind.REMOVE, before.id)
    record(
        scope,
        actions.DOCUMENT_PUBLISHED,
        _thing(document, version),
        details={
            "library": document.library_id,
            "version": version.id,
            "number": version.number,
            "pages": version.page_count,
            "passages": version.passage_count,
        },
    )


@transaction.atomic
def fail(scope: Scope, version: Version, code: str) -> None:
    """Give up on a version. `code` is a reader's or `interrupted`; pages turn it into a sentence."""
    move_version(version, VersionState.FAILED, error_code=code)
    record(
        scope,
        actions.DOCUMENT_FAILED,
        _thing(version.document, version),
        outcome=Outcome.FAILED,
        reason=code,
        details={
            "library": version.document.library_id,
            "version": version.id,
            "number": version.number,
            "code": code,
        },
    )


@transaction.atomic
def retry(scope: Scope, version_id: UUID) -> Version:
    """Try a failed version again from the start."""
    version = queries.version(scope, version_id)
    document = _to_change(scope, version.document_id)
    move_version(version, VersionState.RECEIVED, error_code="", reader_deaths=0)
    jobs.create(scope, Kind.INGEST, version.id)
    record(
        scope,
        actions.DOCUMENT_RETRIED,
        _thing(document, version),
        details={"library": document.library_id, "version": version.id},
    )
    transaction.on_commit(partial(tell, version, {"stage": VersionState.RECEIVED.value}))
    return version


@transaction.atomic
def delete_document(scope: Scope, document_id: UUID) -> None:
    """Hide a document at once; a job removes its points, passages and bytes."""
    document = _to_change(scope, document_id)
    _delete(scope, document)


def _delete(scope: Scope, document: Document) -> None:
    document.deleted_at = timezone.now()
    document.current = None
    document.save(update_fields=["deleted_at", "current"])
    versions = list(document.versions.select_related("document").exclude(state=VersionState.DELETED))
    for version in versions:
        _retire(scope, version, VersionState.DELETED)
        transaction.on_commit(partial(tell, version, {"stage": VersionState.DELETED.value}))
    record(
        scope,
        actions.DOCUMENT_DELETED,
        _thing(document),
        details={"library": document.library_id, "versions": len(versions)},
        private={"name": document.name},
    )


@transaction.atomic
def dismiss(scope: Scope, version_id: UUID) -> None:
    """Put a failed version away; with it the document, where no version of it was ever published."""
    version = queries.version(scope, version_id)
    document = _to_change(scope, version.document_id)
    if version.state != VersionState.FAILED:
        raise Conflict
    if document.current is None:
        _delete(scope, document)
        return
    _retire(scope, version, VersionState.DELETED)
    transaction.on_commit(partial(tell, version, {"stage": VersionState.DELETED.value}))
    record(
        scope,
        actions.DOCUMENT_DELETED,
        _thing(document, version),
        details={"library": document.library_id, "versions": 1},
        private={"name": document.name},
    )


@transaction.atomic
def delete_library(scope: Scope, library_id: UUID) -> None:
    """Hide a library and every document in it at once; jobs remove what they held."""
    library = library_to_administer(scope, library_id)
    documents = list(documents_in(library))
    for document in documents:
        _delete(scope, document)
    close_library(scope, library_id, len(documents))


@transaction.atomic
def move_document(scope: Scope, document_id: UUID, library_id: UUID) -> Document:
    """Put a document into another library that the person may add to."""
    document = _to_change(scope, document_id)
    library = readable_libraries(scope).filter(pk=library_id).first()
    if library is None:
        raise NotFound
    if library.id not in scope.contributes:
        raise Forbidden(_("You may read that library but not add to it."))
    if Document.objects.filter(library=library, name=document.name, deleted_at=None).exists():
        raise Conflict(_("That library has a document of this name already."))
    before, document.library = document.library_id, library
    document.save(update_fields=["library"])
    jobs.create(scope, Kind.MOVE, document.id)
    record(
        scope,
        actions.DOCUMENT_MOVED,
        _thing(document),
        details={"library": library.id, "library_before": before},
        private={"name": document.name},
    )
    return document


@transaction.atomic
def set_label(scope: Scope, document_id: UUID, label: int) -> Document:
    """Change how secret a document is: up to one's own clearance, and for curators only."""
    document = _to_change(scope, document_id)
    if label not in set(Label) or label > scope.clearance:
        raise Invalid(_("Choose a label up to your own clearance."))
    if document.library_id not in scope.curates:
        raise Forbidden(_("Only a curator of this library changes labels."))
    before, document.label = document.label, label
    document.save(update_fields=["label"])
    jobs.create(scope, Kind.MOVE, document.id)
    record(
        scope,
        actions.DOCUMENT_LABELLED,
        _thing(document),
        details={"library": document.library_id, "label": label, "label_before": before},
        private={"name": document.name},
    )
    return document


def may_change(scope: Scope, document: Document) -> bool:
    """A curator changes what is in the library, a contributor what they added themselves."""
    own = document.added_by == scope.person and document.library_id in scope.contributes
    return own or document.library_id in scope.curates


def _to_change(scope: Scope, document_id: UUID) -> Document:
    document = readable_document(scope, document_id)
    if not may_change(scope, document):
        raise Forbidden(_("Only a curator of this library, or who added the document, may change it."))
    return document


def drop_files(version: Version) -> None:
    """A removal's pictures and, with their last reference, the bytes; done again it finds nothing to do."""
    blobs.remove_pictures(version.tenant, version.id)
    drop_unused_blob(version.tenant, version.sha256)


@transaction.atomic
def forget_version(scope: Scope, version: Version, points: int) -> None:
    """Last step of a removal, when points and files are gone: the text, and the event that says so."""
    version.passages.all().delete()
    version.pages.all().delete()
    record(
        scope,
        actions.DOCUMENT_REMOVED,
        _thing(version.document, version),
        details={"library": version.document.library_id, "versions": 1, "points": points},
    )


def lock_blobs(tenant: UUID) -> None:
    """In the open transaction: nobody else adds or drops bytes of the tenant until it ends."""
    Tenant.objects.select_for_update().get(pk=tenant)


def is_unused_blob(tenant: UUID, sha256: str) -> bool:
    """In the open transaction: whether no version needs these bytes any more, until it ends."""
    lock_blobs(tenant)
    users = Version.objects.filter(tenant=tenant, sha256=sha256).exclude(state=VersionState.DELETED)
    return not users.exists()


@transaction.atomic
def drop_unused_blob(tenant: UUID, sha256: str) -> None:
    """Remove bytes that no version needs any more."""
    if is_unused_blob(tenant, sha256):
        blobs.remove(tenant, sha256)


@transaction.atomic
def settle(scope: Scope, document_id: UUID) -> bool:
    """Have a document show what was published last, and a deleted one nothing; whether that changed it.

    Services keep it so; this is for a database that was damaged, or met by two of them at once.
    """
    document = Document.objects.select_for_update().get(pk=document_id, tenant=scope.tenant)
    shown = None
    if document.deleted_at is None:
        others, state = list(document.versions.filter(state=VersionState.PUBLISHED)), VersionState.SUPERSEDED
        others.sort(key=lambda version: version.number)
        shown = others.pop() if others else None
    else:
        others, state = list(document.versions.exclude(state=VersionState.DELETED)), VersionState.DELETED
    for version in others:
        _retire(scope, version, state)
    changed = bool(others) or document.current != shown
    document.current = shown
    document.save(update_fields=["current"])
    return changed


@transaction.atomic
def read_again(scope: Scope, version_id: UUID) -> bool:
    """Order a new version of the same bytes, where the text of a published one is damaged.

    False where its original cannot be read either, or the document has a newer version already.
    """
    lock_blobs(scope.tenant)
    version = Version.objects.select_related("document").get(pk=version_id, tenant=scope.tenant)
    newest = version.document.versions.order_by("-number").first()
    if version != newest or version.state != VersionState.PUBLISHED:
        return False
    if not blobs.is_whole(version.tenant, version.sha256):
        return False
    again = Version.objects.create(
        tenant=scope.tenant,
        document=version.document,
        number=version.number + 1,
        sha256=version.sha256,
        size=version.size,
        added_by=version.added_by,
    )
    jobs.create(scope, Kind.INGEST, again.id)
    return True


def record_view(scope: Scope, version: Version, page: int, passage: UUID | None = None) -> None:
    """Before the page's bytes leave: without the event there is no page."""
    record_alone(
        scope,
        actions.DOCUMENT_VIEWED,
        _thing(version.document, version),
        details={
            "library": version.document.library_id,
            "version": version.id,
            "page": page,
            "passage": passage,
        },
        private={"name": version.document.name},
    )


def record_download(scope: Scope, version: Version) -> None:
    record_alone(
        scope,
        actions.DOCUMENT_DOWNLOADED,
        _thing(version.document, version),
        stage=Stage.INTENT,
        outcome=Outcome.PENDING,
        details={
            "library": version.document.library_id,
            "version": version.id,
            "sha256": version.sha256,
        },
        private={"name": version.document.name},
    )


def record_download_ended(scope: Scope, version: Version, complete: bool) -> None:
    """The outcome: whether the last byte was handed over or the connection broke before."""
    record_alone(
        scope,
        actions.DOCUMENT_DOWNLOADED,
        _thing(version.document, version),
        outcome=Outcome.DONE if complete else Outcome.FAILED,
        details={
            "library": version.document.library_id,
            "version": version.id,
            "sha256": version.sha256,
        },
    )


def _thing(document: Document, version: Version | None = None) -> Thing:
    return Thing("document", document.id, version.sha256 if version else "", document.label)
