"""Uploads that can be resumed: parts are appended in order, the size on disk says how far they are."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path, PurePath
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from muniment.documents import blobs
from muniment.documents.errors import (
    EmptyFile,
    NoRoom,
    OffsetMismatch,
    OtherFormat,
    UploadIncomplete,
    UploadTooLarge,
)
from muniment.documents.models import Document, Upload
from muniment.documents.names import clean_name
from muniment.documents.queries import document as readable_document
from muniment.documents.queries import upload as own_upload
from muniment.documents.services import add_version, drop_unused_blob, lock_blobs, require_free_name
from muniment.pages.errors import Forbidden, NotFound, Problem
from muniment.pages.templatetags.muniment_pages import filesize
from muniment.scope import Scope
from muniment.tenancy.queries import readable_libraries


@transaction.atomic
def begin(scope: Scope, library: UUID, name: str, size: int, replaces: UUID | None = None) -> Upload:
    """Announce a file. Nothing of it counts until the last byte has come."""
    name = clean_name(name)
    if scope.person is None or library not in scope.libraries:
        raise NotFound
    if library not in scope.contributes:
        raise Forbidden(_("You may read this library but not add to it."))
    document = _to_replace(scope, library, name, replaces) if replaces else None
    require_free_name(scope, library, document.name if document else name)
    check_size(size)
    found = readable_libraries(scope).get(pk=library)
    return Upload.objects.create(
        tenant=scope.tenant, person=scope.person, library=found, name=name, size=size, replaces=document
    )


def _to_replace(scope: Scope, library: UUID, name: str, replaces: UUID) -> Document:
    document = readable_document(scope, replaces)
    if document.library_id != library:
        raise NotFound
    if PurePath(document.name).suffix.lower() != PurePath(name).suffix.lower():
        raise OtherFormat
    return document


def check_size(size: int) -> None:
    """Raises `EmptyFile`, `UploadTooLarge` or `NoRoom`."""
    if size <= 0:
        raise EmptyFile
    if size > settings.UPLOAD_LIMIT_BYTES:
        limit = filesize(settings.UPLOAD_LIMIT_BYTES)
        raise UploadTooLarge(_("The file is larger than %(limit)s, the limit here.") % {"limit": limit})
    blobs.require_room(size)


def offset(upload: Upload) -> int:
    """How many bytes have come."""
    if upload.document_id:
        return upload.size
    try:
        return blobs.part_path(upload.tenant, upload.id).stat().st_size
    except FileNotFoundError:
        return 0


def append(scope: Scope, upload_id: UUID, at: int, chunk: bytes) -> int:
    """Append a part that begins at byte `at`; gives the new offset.

    Raises `OffsetMismatch` where parts arrive out of order, `NoRoom` where the disk is full: the bytes
    that had come stay, and the upload can go on.
    """
    upload = own_upload(scope, upload_id)
    if upload.document_id:
        raise OffsetMismatch
    blobs.require_room(len(chunk))
    path = blobs.part_path(upload.tenant, upload.id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            have = os.fstat(file.fileno()).st_size
            if at != have:
                raise OffsetMismatch
            if have + len(chunk) > upload.size:
                raise UploadTooLarge(_("More came than the file was announced to have."))
            try:
                file.write(chunk)
                file.flush()
            except OSError:
                os.ftruncate(file.fileno(), have)
                raise
            return have + len(chunk)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoRoom from error
        raise


def finish(scope: Scope, upload_id: UUID) -> Document:
    """Turn a complete upload into a document or its new version; asked again it gives the same document.

    An upload that is refused at the end, because its name was taken meanwhile, is gone with its bytes.
    """
    upload = own_upload(scope, upload_id)
    if upload.document:
        return upload.document
    if offset(upload) != upload.size:
        raise UploadIncomplete
    part = blobs.part_path(upload.tenant, upload.id)
    sha256 = blobs.hash_file(part)
    blobs.sync(part)
    try:
        return _make_document(scope, upload, part, sha256)
    except Problem:
        drop_unused_blob(upload.tenant, sha256)
        upload.delete()
        raise


@transaction.atomic
def _make_document(scope: Scope, upload: Upload, part: Path, sha256: str) -> Document:
    lock_blobs(upload.tenant)
    upload.refresh_from_db()
    if upload.document:
        return upload.document
    blobs.keep(upload.tenant, part, sha256)
    name = upload.replaces.name if upload.replaces else upload.name
    upload.document = add_version(scope, upload.library, name, sha256, upload.size)
    upload.save(update_fields=["document"])
    return upload.document


def cancel(scope: Scope, upload_id: UUID) -> None:
    """Forget an upload and what had come of it; a document that it became stays."""
    upload = own_upload(scope, upload_id)
    blobs.part_path(upload.tenant, upload.id).unlink(missing_ok=True)
    upload.delete()


def upload_whole(scope: Scope, library: UUID, name: str, chunks: Iterable[bytes], size: int) -> Document:
    """For commands and forms: the same way in, in one go."""
    upload = begin(scope, library, name, size)
    at = 0
    for chunk in chunks:
        at = append(scope, upload.id, at, chunk)
    return finish(scope, upload.id)


def drop_stale(tenant: UUID) -> int:
    """Forget uploads nobody went on with for a day."""
    before = timezone.now() - timedelta(hours=settings.UPLOAD_KEEP_HOURS)
    stale = list(Upload.objects.filter(tenant=tenant, created_at__lt=before))
    for upload in stale:
        blobs.part_path(upload.tenant, upload.id).unlink(missing_ok=True)
        upload.delete()
    return len(stale)
