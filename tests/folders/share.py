"""A folder that people write to, and the library that follows it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from django.utils import timezone

from muniment.documents.models import IN_WORK, Document, Version, VersionState
from muniment.folders.models import File, Folder
from muniment.scope import Scope
from muniment.tenancy.services import system_scope
from workers.upkeep.watching import look


@dataclass
class Share:
    admin: Scope
    place: Path
    folder: Folder
    _clock: Any = field(default_factory=lambda: count(1_700_000_000))

    def write(self, path: str, text: str = "Doors close at ten.") -> Path:
        """Each time at another moment of the share's clock."""
        target = self.place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        moment = next(self._clock)
        os.utime(target, (moment, moment))
        return target

    def look(self) -> Folder:
        self.folder.refresh_from_db()
        look(system_scope(self.folder.tenant), self.folder)
        self.folder.refresh_from_db()
        return self.folder

    def documents(self) -> dict[str, Document]:
        found = Document.objects.filter(library=self.folder.library, deleted_at=None)
        return {document.name: document for document in found}

    def library(self) -> dict[str, str]:
        """What the library has: hash by name of the newest version of each document."""
        return {
            name: document.versions.latest("number").sha256 for name, document in self.documents().items()
        }

    def contents(self) -> dict[str, str]:
        """What lies in the folder, as the library should have it."""
        files = [path for path in self.place.rglob("*") if path.is_file() and path.name != ".muniment"]
        return {
            str(path.relative_to(self.place)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.stat().st_size
        }

    def publish(self) -> None:
        """As ingest would."""
        for version in Version.objects.filter(tenant=self.folder.tenant, state__in=IN_WORK):
            version.state, version.published_at = VersionState.PUBLISHED, timezone.now()
            version.save()
            version.document.versions.filter(state=VersionState.PUBLISHED, number__lt=version.number).update(
                state=VersionState.SUPERSEDED
            )
            Document.objects.filter(pk=version.document_id).update(current=version)

    def troubles(self) -> dict[str, str]:
        return dict(
            File.objects.filter(folder=self.folder).exclude(trouble="").values_list("path", "trouble")
        )
