"""Originals that come from the folder of an installation that is left, each compared with its hash."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from muniment.documents.blobs import is_whole, keep
from muniment.documents.models import Version, VersionState
from workers.upkeep.archive import PIECE, Hashing
from workers.upkeep.errors import MoveFailed
from workers.upkeep.leaving import OLD, staging

SHOWN = 5


@dataclass(frozen=True)
class Original:
    tenant: UUID
    sha256: str
    size: int
    version: UUID


def needed() -> list[Original]:
    """Each once that somebody needs."""
    rows = Version.objects.using(OLD).exclude(state=VersionState.DELETED).order_by("id")
    found = {
        (tenant, sha256): Original(tenant, sha256, size, version)
        for tenant, sha256, size, version in rows.values_list("tenant", "sha256", "size", "id")
    }
    return list(found.values())


def bring(folder: Path, originals: list[Original]) -> int:
    """Copy what is not here yet, whole; gives how many. Those that are lost are told together."""
    absent = [one for one in originals if not is_whole(one.tenant, one.sha256)]
    need = sum(one.size for one in absent)
    if shutil.disk_usage(settings.DATA_DIR).free - need < settings.FREE_DISK_BYTES:
        raise MoveFailed(
            _(
                "The originals need %(need)s more in the site's data folder, and some room must be left "
                "there: make room, then start again."
            )
            % {"need": filesizeformat(need)}
        )
    lost = [one for one in absent if not _copy(folder, one)]
    if lost:
        raise MoveFailed(
            _(
                "%(n)s originals are missing or damaged in the old folder (versions %(ids)s). Bring them "
                "back from a backup, or delete these documents in the old installation, then start again."
            )
            % {"n": len(lost), "ids": ", ".join(str(one.version) for one in lost[:SHOWN])}
        )
    return len(absent)


def _copy(folder: Path, one: Original) -> bool:
    """Whether it came as its hash says; nothing of it is left where not."""
    part = staging() / "original"
    try:
        source = (folder / "blobs" / str(one.tenant) / one.sha256).open("rb")
    except FileNotFoundError:
        return False
    with source, part.open("wb") as file:
        copy = Hashing(file)
        while piece := source.read(PIECE):
            copy.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if copy.sha256 != one.sha256:
        return False
    keep(one.tenant, part, one.sha256)
    return True
