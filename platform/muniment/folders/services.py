"""What happens to mapped folders and to what they hold. Upkeep reads the bytes; here is what then counts."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from muniment.audit import actions
from muniment.audit.services import Thing, record
from muniment.documents import blobs
from muniment.documents.models import Document, Version
from muniment.documents.services import add_version, delete_document, lock_blobs
from muniment.folders import queries
from muniment.folders.errors import MappedAlready, NoFolder, NotAllowed
from muniment.folders.models import LONGEST_PATH, File, Folder, FolderState
from muniment.folders.names import document_name, free_name
from muniment.folders.roots import root_of
from muniment.pages.errors import Conflict, Invalid
from muniment.scope import Label, Scope
from muniment.tenancy.queries import library_to_administer
from muniment.tenancy.services import library_scope

TAKEN_OUT = "taken_out"


@dataclass(frozen=True)
class Seen:
    """A file as it lies in a folder: its path there, and by what a change shows."""

    path: str
    size: int
    mtime_ns: int


@transaction.atomic
def map_folder(scope: Scope, library_id: UUID, path: str, label: int) -> Folder:
    """Have a library follow a folder. What comes in gets `label`; what is in it already keeps its own."""
    library = library_to_administer(scope, library_id)
    path = os.path.normpath(path.strip() or "-")
    root, _way = root_of(scope, path)
    if len(path) > LONGEST_PATH:
        raise NotAllowed
    # A site's web part need not see the shares; the first look then says whether the folder is there.
    if root.is_dir() and not Path(path).is_dir():
        raise NoFolder
    if label not in set(Label):
        raise Invalid
    others = Folder.objects.filter(library=library).exclude(state=FolderState.ENDED)
    if any(_is_within(path, other) for other in others.values_list("path", flat=True)):
        raise MappedAlready
    folder = Folder.objects.filter(library=library, path=path).first()
    folder = folder or Folder(tenant=scope.tenant, library=library, path=path)
    folder.label, folder.made_by = label, scope.person
    folder.state, folder.trouble, folder.confirmed, folder.marked = FolderState.FOLLOWED, "", 0, False
    folder.save()
    _record(scope, actions.FOLDER_MAPPED, folder, label=label)
    return folder


def _is_within(path: str, other: str) -> bool:
    one, two = PurePosixPath(path), PurePosixPath(other)
    return one.is_relative_to(two) or two.is_relative_to(one)


@transaction.atomic
def unmap(scope: Scope, folder_id: UUID) -> None:
    """Follow a folder no more. Its documents stay, as if somebody had uploaded them."""
    folder = _changing(scope, folder_id)
    _move(folder, FolderState.ENDED)
    _record(scope, actions.FOLDER_UNMAPPED, folder, files=folder.seen.count())


@transaction.atomic
def pause(scope: Scope, folder_id: UUID) -> None:
    folder = _changing(scope, folder_id)
    if folder.state != FolderState.FOLLOWED:
        raise Conflict
    _move(folder, FolderState.PAUSED)
    _record(scope, actions.FOLDER_PAUSED, folder, files=folder.files, missing=0)


@transaction.atomic
def resume(scope: Scope, folder_id: UUID) -> None:
    """Look again; a mark that is gone is not asked for any more."""
    folder = _changing(scope, folder_id)
    if folder.state not in {FolderState.PAUSED, FolderState.STOPPED}:
        raise Conflict
    _move(folder, FolderState.FOLLOWED, marked=False)
    _record(scope, actions.FOLDER_RESUMED, folder)


@transaction.atomic
def confirm(scope: Scope, folder_id: UUID, missing: int) -> None:
    """Say that so many files are really gone. When more are by the next look, it asks anew."""
    folder = _changing(scope, folder_id)
    if not 0 < missing == folder.missing:
        raise Conflict
    _move(folder, FolderState.FOLLOWED, confirmed=missing)
    _record(scope, actions.FOLDER_CONFIRMED, folder, missing=missing)


def _changing(scope: Scope, folder_id: UUID) -> Folder:
    queries.folder(scope, folder_id)
    return Folder.objects.select_for_update().get(pk=folder_id, tenant=scope.tenant)


def _move(folder: Folder, state: FolderState, **fields: object) -> None:
    Folder.objects.filter(pk=folder.pk).update(state=state, trouble="", missing=0, **fields)


def _record(scope: Scope, action: str, folder: Folder, **details: object) -> None:
    record(
        scope,
        action,
        Thing("folder", folder.id, label=folder.label),
        details={"library": folder.library_id, **details},
        private={"path": folder.path},
    )


@transaction.atomic
def stop(folder: Folder, missing: int, files: int) -> None:
    """By itself, because so many of the files that had been there are gone."""
    stopped = Folder.objects.filter(pk=folder.pk, state=FolderState.FOLLOWED).update(
        state=FolderState.STOPPED, trouble="vanished", missing=missing, tried_at=timezone.now()
    )
    if stopped:
        _record(library_scope(folder.library), actions.FOLDER_PAUSED, folder, files=files, missing=missing)


def note(folder: Folder, trouble: str, **fields: object) -> None:
    """What came of a look."""
    now = timezone.now()
    if not trouble:
        fields["looked_at"] = now
    fields = {"missing": 0, **fields, "trouble": trouble, "tried_at": now}
    Folder.objects.filter(pk=folder.pk, state=FolderState.FOLLOWED).update(**fields)


def refuse(folder: Folder, seen: Seen, code: str) -> None:
    """Keep why a file was not taken. A document that an earlier content of it became stays."""
    File.objects.update_or_create(
        folder=folder,
        path=seen.path,
        defaults={
            "tenant": folder.tenant,
            "size": seen.size,
            "mtime_ns": seen.mtime_ns,
            "trouble": code,
        },
    )


def forget(folder: Folder, files: Iterable[File]) -> None:
    """Rows of what was refused and lies there no more."""
    gone = [file.pk for file in files]
    folder.seen.filter(pk__in=gone, document=None).delete()


def follow_no_more(folder: Folder) -> None:
    """Leave alone what people deleted, or moved to another library, after it had been published."""
    elsewhere = Q(document__deleted_at__isnull=False) | ~Q(document__library=folder.library_id)
    published = Version.objects.filter(document=OuterRef("document"), published_at__isnull=False)
    taken = folder.seen.filter(elsewhere, Exists(published), document__isnull=False)
    gone = list(taken.values_list("pk", flat=True))
    folder.seen.filter(pk__in=gone).exclude(trouble=TAKEN_OUT).update(trouble=TAKEN_OUT)
    folder.seen.filter(trouble=TAKEN_OUT).exclude(pk__in=gone).update(trouble="")


@transaction.atomic
def take(folder: Folder, seen: Seen, part: Path, sha256: str) -> bool:
    """Have the bytes in `part` become a document or its next version, once; False where nothing is new.

    Raises `BadName`, and `Conflict` for a folder that is followed no more.
    """
    scope = library_scope(folder.library)
    lock_blobs(folder.tenant)
    if not queries.followed(scope).filter(pk=folder.pk).exists():
        raise Conflict
    file = File.objects.filter(folder=folder, path=seen.path).select_related("document").first()
    file = file or File(tenant=folder.tenant, folder=folder, path=seen.path)
    document = file.document if file.document and _is_here(folder, file.document) else None
    file.size, file.mtime_ns, file.trouble = seen.size, seen.mtime_ns, ""
    if document and file.sha256 == sha256:
        file.save()
        return False
    name = document.name if document else free_name(folder.library, document_name(seen.path))
    blobs.keep(folder.tenant, part, sha256)
    file.document = add_version(scope, folder.library, name, sha256, seen.size, folder.label)
    file.sha256 = sha256
    file.save()
    _record_file(scope, file, file.document, "changed" if document else "added")
    return True


@transaction.atomic
def let_go(folder: Folder, file: File) -> None:
    """A file is gone: its document is deleted, unless people took it elsewhere."""
    scope = library_scope(folder.library)
    lock_blobs(folder.tenant)
    if not queries.followed(scope).filter(pk=folder.pk).exists():
        raise Conflict
    found = File.objects.filter(pk=file.pk).select_related("document").first()
    if found is None:
        return
    if found.document and _is_here(folder, found.document):
        delete_document(scope, found.document.id)
        _record_file(scope, found, found.document, "removed")
    found.delete()


def _is_here(folder: Folder, document: Document) -> bool:
    return document.deleted_at is None and document.library_id == folder.library_id


def _record_file(scope: Scope, file: File, document: Document, change: str) -> None:
    record(
        scope,
        actions.FOLDER_FOLLOWED,
        Thing("folder", file.folder_id),
        details={"library": document.library_id, "document": document.id, "change": change},
        private={"path": file.path},
    )
