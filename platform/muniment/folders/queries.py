"""What is read of mapped folders. Their administrator sees paths and what is wrong, no documents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import Count, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from muniment.documents.models import Version, VersionState
from muniment.folders.models import File, Folder, FolderState
from muniment.pages.errors import Forbidden, NotFound
from muniment.scope import Scope


def folders(scope: Scope) -> QuerySet[Folder]:
    """The tenant's mapped folders, for its administrator."""
    if not scope.is_admin:
        raise Forbidden
    return (
        Folder.objects.filter(tenant=scope.tenant, library__deleted_at=None)
        .exclude(state=FolderState.ENDED)
        .select_related("library")
    )


def folder(scope: Scope, folder: UUID) -> Folder:
    found = folders(scope).filter(pk=folder).first()
    if found is None:
        raise NotFound
    return found


def followed(scope: Scope) -> QuerySet[Folder]:
    """Those that are looked at, for work of the system itself."""
    return Folder.objects.filter(
        tenant=scope.tenant, state=FolderState.FOLLOWED, library__deleted_at=None
    ).select_related("library")


def troubled(scope: Scope, folder: Folder) -> QuerySet[File, tuple[str, str]]:
    """Path and code of the files of a folder that could not be read, or are not followed."""
    return _wrong(folder.seen.filter(tenant=scope.tenant)).values_list("path", "why")


def trouble_counts(scope: Scope, folders: Iterable[Folder]) -> dict[UUID, int]:
    wrong = _wrong(File.objects.filter(tenant=scope.tenant, folder__in=list(folders))).order_by()
    return dict(wrong.values_list("folder").annotate(n=Count("pk")))


def _wrong(files: QuerySet[File]) -> QuerySet[Any]:
    """`why` is the folder's code, or the reader's where what is newest of a document could not be read."""
    failed = Version.objects.filter(
        document=OuterRef("document"), document__deleted_at=None, state=VersionState.FAILED
    )
    failure = Subquery(failed.order_by("-number").values("error_code")[:1])
    why = Coalesce(NullIf("trouble", Value("")), failure)
    return files.annotate(why=why).filter(why__isnull=False)
