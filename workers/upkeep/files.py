"""Files against the database: originals, parts of uploads, pictures of pages.

A file is seen first and its row asked for after: rows are written before their files, or in the same breath
under the lock that `documents` takes before it moves bytes.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from muniment.documents.blobs import blob_path, hash_file, pictures_folder
from muniment.documents.models import Upload, Version, VersionState
from muniment.documents.services import drop_unused_blob, is_unused_blob
from muniment.jobs.models import Kind
from muniment.tenancy.models import Tenant
from workers.upkeep.difference import Difference, What
from workers.upkeep.points import is_open

# Longer than anything that is on its way stays untouched.
GRACE_SECONDS = 3600
PAGE = 500
_HASH = re.compile(r"[0-9a-f]{64}")


def look(tenant: UUID) -> Iterator[Difference]:
    """Every difference of one tenant, within whose wall this is called; reads every original."""
    yield from _originals(tenant)
    yield from _orphans(tenant)
    yield from _uploads(tenant)
    yield from _pictures(tenant)


def look_for_strangers() -> Iterator[Difference]:
    """What lies beside the tenants' folders."""
    found = _entries(Path(settings.BLOB_DIR))
    known = {str(id) for id in Tenant.objects.values_list("id", flat=True)}
    for path in found:
        if path.name not in known and _is_old(path):
            yield _unknown(UUID(int=0), path)


def _originals(tenant: UUID) -> Iterator[Difference]:
    needed = Version.objects.filter(tenant=tenant).exclude(state=VersionState.DELETED)
    hashes, last = needed.order_by("sha256").values_list("sha256", flat=True).distinct(), ""
    while some := list(hashes.filter(sha256__gt=last)[:PAGE]):
        for sha256 in some:
            what = _fault(tenant, sha256)
            # Deleted since, or brought again: only what is still so counts.
            versions = list(needed.filter(sha256=sha256).values_list("pk", flat=True)) if what else []
            if what and versions and _fault(tenant, sha256) == what:
                for version in versions:
                    yield Difference(what, tenant, "version", version)
        last = some[-1]


def _fault(tenant: UUID, sha256: str) -> What | None:
    try:
        same = hash_file(blob_path(tenant, sha256)) == sha256
    except FileNotFoundError:
        return What.LOST_ORIGINAL
    except OSError:
        return What.DAMAGED_ORIGINAL
    return None if same else What.DAMAGED_ORIGINAL


def _orphans(tenant: UUID) -> Iterator[Difference]:
    for path in _entries(Path(settings.BLOB_DIR) / str(tenant)):
        if not _HASH.fullmatch(path.name) or not path.is_file():
            if _is_old(path):
                yield _unknown(tenant, path)
        elif not _needed(tenant, path.name):
            with transaction.atomic():
                unused = is_unused_blob(tenant, path.name) and not _goes(tenant, sha256=path.name)
            # Looked at last: a removal that has ended has taken the file along.
            if unused and path.exists():
                mend = partial(_drop, tenant, path)
                yield Difference(What.ORPHAN_ORIGINAL, tenant, "original", path.name, mend=mend)


def _needed(tenant: UUID, sha256: str) -> bool:
    """A quick look, without the lock that makes uploads wait."""
    versions = Version.objects.filter(tenant=tenant, sha256=sha256)
    return versions.exclude(state=VersionState.DELETED).exists()


def _goes(tenant: UUID, **which: Any) -> bool:
    """Whether a removal is ordered that takes the files of such a version along."""
    versions = Version.objects.filter(tenant=tenant, state=VersionState.DELETED, **which)
    return versions.filter(is_open(Kind.REMOVE, "pk")).exists()


def _drop(tenant: UUID, path: Path) -> bool:
    drop_unused_blob(tenant, path.name)
    return not path.exists()


def _uploads(tenant: UUID) -> Iterator[Difference]:
    for path in _entries(Path(settings.UPLOAD_DIR) / str(tenant)):
        if not _is_old(path):
            continue
        upload = _uuid(path.name.removesuffix(".part"))
        if upload is None:
            yield _unknown(tenant, path)
        elif not Upload.objects.filter(tenant=tenant, pk=upload, document=None).exists():
            yield Difference(What.LEFTOVER_UPLOAD, tenant, "upload", upload, mend=partial(_remove, path))


def _pictures(tenant: UUID) -> Iterator[Difference]:
    for path in _entries(Path(settings.PAGES_DIR) / str(tenant)):
        version = _uuid(path.name)
        if version is None:
            if _is_old(path):
                yield _unknown(tenant, path)
            continue
        living = Version.objects.filter(tenant=tenant, pk=version).exclude(state=VersionState.DELETED)
        if not living.exists():
            if _is_old(path) and not _goes(tenant, pk=version):
                folder = pictures_folder(tenant, version)
                mend = partial(_remove, folder)
                yield Difference(What.LEFTOVER_PICTURES, tenant, "version", version, mend=mend)
            continue
        halves = [half for half in path.glob(".*") if _is_old(half)]
        if halves:
            mend = partial(_remove, *halves)
            yield Difference(What.LEFTOVER_PICTURES, tenant, "version", version, len(halves), mend)


def _unknown(tenant: UUID, path: Path) -> Difference:
    return Difference(What.UNKNOWN_FILE, tenant, "file", str(path.relative_to(path.parents[1])))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > GRACE_SECONDS
    except FileNotFoundError:
        return False


def _remove(*paths: Path) -> bool:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return True


def _uuid(name: str) -> UUID | None:
    try:
        found = UUID(name)
    except ValueError:
        return None
    return found if str(found) == name else None
