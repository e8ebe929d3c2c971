"""The index follows the database: what it does not hold whole is indexed again."""

from __future__ import annotations

import logging

from django.conf import settings

from muniment.documents.models import Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.queries import open_count
from muniment.jobs.services import create_many
from muniment.tenancy.queries import each_tenant
from muniment.tenancy.services import system_scope
from workers.engines import PassageIndex, catalogue, connect

log = logging.getLogger(__name__)

SAMPLE = 20


def sample() -> int:
    """Count a few documents of each tenant, and all where one is not whole. Raises `IndexUnavailable`."""
    if open_count(Kind.REINDEX):
        return 0
    index = _index()
    wrong = any(
        _differs(index, version)
        for _tenant in each_tenant()
        for version in Version.objects.filter(state=VersionState.PUBLISHED).order_by("?")[:SAMPLE]
    )
    return everything() if wrong else 0


def everything() -> int:
    """Write a job for each published version whose points are not its passages; gives how many.

    A version that is replaced meanwhile may get one too, which then has nothing to do.
    """
    index, ordered = _index(), 0
    for tenant in each_tenant():
        published = Version.objects.filter(tenant=tenant.id, state=VersionState.PUBLISHED)
        wrong = [version.id for version in published.iterator() if _differs(index, version)]
        if wrong:
            log.warning("index.incomplete versions=%s", len(wrong))
            ordered += create_many(system_scope(tenant.id), Kind.REINDEX, wrong)
    return ordered


def _index() -> PassageIndex:
    return connect.index(catalogue.model(settings.EMBEDDER).dimension)


def _differs(index: PassageIndex, version: Version) -> bool:
    return index.count(version.tenant, version.id) != version.passage_count
