"""Originals on disk, by tenant and SHA-256. A blob never changes and is never shared between tenants."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from uuid import UUID

from django.conf import settings

from muniment.documents.errors import NoRoom


def blob_path(tenant: UUID, sha256: str) -> Path:
    return Path(settings.BLOB_DIR) / str(UUID(str(tenant))) / _hex(sha256)


def part_path(tenant: UUID, upload: UUID) -> Path:
    return Path(settings.UPLOAD_DIR) / str(UUID(str(tenant))) / f"{UUID(str(upload))}.part"


def pictures_folder(tenant: UUID, version: UUID) -> Path:
    return Path(settings.PAGES_DIR) / str(UUID(str(tenant))) / str(UUID(str(version)))


def require_room(size: int) -> None:
    """Raise `NoRoom` when a file of `size` bytes would leave less than the reserve on the disk."""
    Path(settings.DATA_DIR).mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(settings.DATA_DIR).free - size < settings.FREE_DISK_BYTES:
        raise NoRoom


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(tenant: UUID, sha256: str) -> bool:
    """Whether the stored bytes are those that came; reads them all."""
    try:
        return hash_file(blob_path(tenant, sha256)) == sha256
    except OSError:
        return False


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep(tenant: UUID, part: Path, sha256: str) -> None:
    """Move a finished and synced upload to its place; once this returns it survives a power cut."""
    target = blob_path(tenant, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.replace(target)
    sync(target.parent)


def remove(tenant: UUID, sha256: str) -> None:
    blob_path(tenant, sha256).unlink(missing_ok=True)


def remove_pictures(tenant: UUID, version: UUID) -> None:
    shutil.rmtree(pictures_folder(tenant, version), ignore_errors=True)


def _hex(sha256: str) -> str:
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
        raise ValueError("not a SHA-256")
    return sha256
