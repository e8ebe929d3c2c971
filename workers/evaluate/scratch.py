"""Where data sets are measured: a tenant of its own, with a library for each, filled as people fill theirs.

Nobody belongs to the tenant: the command acts under an id without an account, reads what everybody there may
read, and leaves its events in that tenant's trail alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.text import slugify

from muniment.accounts.models import Person
from muniment.documents.models import IN_WORK, Version, VersionState
from muniment.documents.services import delete_document, delete_library, retry
from muniment.documents.uploads import upload_whole
from muniment.scope import Label, Origin, Role, Scope
from muniment.tenancy.models import EVALUATION, Level, Library, Tenant
from muniment.tenancy.queries import all_libraries
from muniment.tenancy.services import create_library, create_tenant, give_access, scope_of
from muniment.wall import within
from workers.evaluate.dataset import File

# Documents on their way at once: the workers never wait, and what others upload meanwhile waits little.
AT_ONCE = 64
LOOK_SECONDS = 0.1
SAY_SECONDS = 5
# Nothing published or given up for so long: the workers do not work.
SILENT_SECONDS = 600
# A document on which workers died again and again, perhaps for a reason that is over.
INTERRUPTED = "interrupted"

Say = Callable[[str], None]


class ScratchError(Exception):
    """The scratch library cannot be used; the sentence says why and what to do."""


@dataclass(frozen=True)
class Ingested:
    """What had to be done to make the library the folder's. `passages` are of the documents added."""

    added: int
    removed: int
    passages: int
    seconds: float


def tenant() -> Tenant:
    """The tenant for measuring, made when first asked for. Raises `ScratchError`."""
    with transaction.atomic():
        found = Tenant.objects.filter(slug=EVALUATION).first() or create_tenant(EVALUATION, "Evaluation")
    with within(found.id):
        if Person.objects.filter(tenant=found).exists():
            raise ScratchError(f"People belong to the tenant {EVALUATION}: nothing is measured there.")
    return found


def scope_in(tenant: Tenant, origin: Origin) -> Scope:
    """Acts as nobody who could sign in: the id is the tenant's own."""
    return scope_of(tenant.id, tenant.id, [Role.TENANT_ADMIN, Role.CURATOR], Label.SECRET, origin)


def library_of(scope: Scope, dataset: str) -> tuple[Scope, Library]:
    """The data set's library, made when first asked for, and the scope that may use it."""
    slug = slugify(dataset)[:50] or "library"
    library = all_libraries(scope).filter(slug=slug).first()
    if library is None:
        with transaction.atomic():
            library = create_library(scope, dataset[:120], Label.PUBLIC)
            give_access(scope, library.id, Level.CONTRIBUTE)
    return scope_of(scope.tenant, scope.tenant, scope.roles, scope.clearance, scope.origin), library


def remove(scope: Scope, library: Library) -> None:
    """The library and all that it held; the workers remove texts, originals and points."""
    delete_library(scope, library.id)


def fill(scope: Scope, library: Library, files: Sequence[File], say: Say = lambda line: None) -> Ingested:
    """Make the library hold these files: add what is new or changed, remove what is gone, wait for the rest.

    Nothing is done twice, so a run that was cut goes on where it was. Raises `ScratchError`, `Problem`.
    """
    begun = time.monotonic()
    names = {file.name for file in files}
    newest = newest_versions(library)
    gone = {name for name in newest if name not in names}
    for name in gone:
        delete_document(scope, newest.pop(name).document_id)
    for version in newest.values():
        if version.state == VersionState.FAILED and version.error_code == INTERRUPTED:
            retry(scope, version.id)
    todo = [file for file in files if not _holds(newest.get(file.name), file)]
    for start in range(0, len(todo), AT_ONCE):
        _wait(library, AT_ONCE // 2, say, start, len(todo))
        for file in todo[start : start + AT_ONCE]:
            upload_whole(scope, library.id, file.name, file.chunks(), file.size)
    _wait(library, 0, say, len(todo), len(todo))
    added = {file.name for file in todo}
    passages = sum(v.passage_count for name, v in newest_versions(library).items() if name in added)
    return Ingested(len(todo), len(gone), passages, time.monotonic() - begun)


def newest_versions(library: Library) -> dict[str, Version]:
    """The newest content of each document that is there, by the document's name."""
    rows = Version.objects.filter(document__library=library, document__deleted_at=None)
    rows = rows.exclude(state__in=[VersionState.SUPERSEDED, VersionState.DELETED])
    return {row.document.name: row for row in rows.select_related("document").order_by("number")}


def _holds(version: Version | None, file: File) -> bool:
    return version is not None and version.sha256 == file.sha256


def _wait(library: Library, most: int, say: Say, begun: int, of: int) -> None:
    """Until at most so many documents are in work. Raises `ScratchError` where nothing moves for long."""
    left, moved, said = -1, time.monotonic(), time.monotonic()
    while True:
        now = Version.objects.filter(document__library=library, state__in=IN_WORK).count()
        if now != left:
            left, moved = now, time.monotonic()
        if now <= most:
            return
        if time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            say(f"{max(begun - now, 0)} of {of} documents ingested")
        if time.monotonic() - moved > SILENT_SECONDS:
            raise ScratchError("The workers do not get on with reading. Ask `manage.py doctor` why.")
        time.sleep(LOOK_SECONDS)
