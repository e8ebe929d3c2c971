"""Making the passage index again from the database: in place, or beside the one that answers."""

from __future__ import annotations

from uuid import UUID

from muniment.documents.generations import abandon, begin, making
from muniment.documents.models import Generation, Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.services import create_many
from muniment.scope import Scope
from muniment.tenancy.queries import each_tenant
from muniment.tenancy.services import system_scope
from workers import generations
from workers.engines import catalogue


def enqueue(scope: Scope, library: UUID | None = None) -> int:
    """A job for every published version of the tenant, or of one library; gives how many are new."""
    versions = Version.objects.filter(tenant=scope.tenant, state=VersionState.PUBLISHED)
    if library is not None:
        versions = versions.filter(document__library=library)
    return create_many(scope, Kind.REINDEX, versions.values_list("id", flat=True))


def enqueue_everything() -> int:
    return sum(enqueue(system_scope(tenant.id)) for tenant in each_tenant())


def begin_if_needed(scope: Scope) -> Generation | None:
    """Have another index built, where the settings or this release would make it otherwise than it is.

    None where they would not: what was being built otherwise is given up then. Raises `Forbidden`, and
    `ModelMissing` and `ModelDamaged` where the embedder that is set is not there.
    """
    made = generations.wanted()
    if made == making(generations.serving()):
        abandon(scope)
        return None
    catalogue.path_of(made.embedder)
    return begin(scope, made)
