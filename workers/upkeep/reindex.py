"""Making the passage index again from the passages in the database."""

from __future__ import annotations

from uuid import UUID

from muniment.documents.models import Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.services import create_many
from muniment.scope import Scope
from muniment.tenancy.queries import each_tenant
from muniment.tenancy.services import system_scope


def enqueue(scope: Scope, library: UUID | None = None) -> int:
    """A job for every published version of the tenant, or of one library; gives how many are new."""
    versions = Version.objects.filter(tenant=scope.tenant, state=VersionState.PUBLISHED)
    if library is not None:
        versions = versions.filter(document__library=library)
    return create_many(scope, Kind.REINDEX, versions.values_list("id", flat=True))


def enqueue_everything() -> int:
    return sum(enqueue(system_scope(tenant.id)) for tenant in each_tenant())
