"""Database, index and stored files are compared, and what differs is mended.

Every few seconds a few documents are counted, every hour all are; each night everything is compared point by
point and byte by byte, behind whatever else the machine does.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from django.db import close_old_connections, transaction
from django.utils import timezone

from muniment.audit import actions
from muniment.audit.services import Thing, record
from muniment.documents.generations import building, is_still
from muniment.documents.models import Generation, Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.queries import open_count
from muniment.pages.errors import Forbidden
from muniment.registry.services import store_report
from muniment.scope import Role, Scope
from muniment.tenancy.queries import each_tenant
from muniment.tenancy.services import system_scope
from workers import generations
from workers.engines import IndexUnavailable, PassageIndex, connect
from workers.engines.errors import ModelMissing
from workers.upkeep import files, points, rows
from workers.upkeep.difference import REPORT, Difference, Report, What

log = logging.getLogger(__name__)

SAMPLE = 20
# The scheduler's class for work that may wait: behind everything that is not as patient.
LAST = 19


def reconcile(scope: Scope, mend: bool = True) -> Report:
    """Compare everything of all tenants, for a site's administrator. Raises `Forbidden`."""
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    return compare(mend, scope.origin.request_id)


def by_night() -> Report:
    """The same by the clock, in a thread that gives way to all others."""

    def whole() -> Report:
        try:
            return compare()
        finally:
            close_old_connections()

    with ThreadPoolExecutor(1, initializer=_give_way) as thread:
        return thread.submit(whole).result()


def _give_way() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LAST)


def compare(mend: bool = True, request_id: str = "") -> Report:
    """Find every difference, and with `mend` mend it; what was found is kept for the doctor then."""
    report = Report()
    indexes = _indexes_if_there()
    report.index_compared = bool(indexes)
    for difference in _all(report, indexes):
        mended = mend and _mend(difference, request_id)
        report.add(difference, mended)
        log.warning(
            "reconcile.difference what=%s count=%s mended=%s", difference.what, difference.count, mended
        )
    if mend:
        store_report(REPORT, {**report.as_dict(), "at": timezone.now().isoformat(timespec="seconds")})
    return report


def _all(report: Report, indexes: Sequence[tuple[Generation, PassageIndex]]) -> Iterator[Difference]:
    """The index first: its foreign points are the one thing that cannot wait."""
    for generation, index in indexes:
        for tenant in each_tenant():
            yield from _while_there(report, points.look(points.Side(tenant.id, generation, index)))
    for look in (rows.look, files.look):
        for tenant in each_tenant():
            yield from look(tenant.id)
    for _generation, index in indexes:
        yield from _while_there(report, points.look_for_strays(index))
    yield from files.look_for_strangers()
    yield from rows.look_for_stuck_work()


def _while_there(report: Report, found: Iterator[Difference]) -> Iterator[Difference]:
    """An index that goes away meanwhile ends its part of the comparison, and no other."""
    try:
        yield from found
    except IndexUnavailable:
        connect.index.cache_clear()
        report.index_compared = False


def _mend(difference: Difference, request_id: str = "") -> bool:
    """Whether the difference is gone, or on its way by a job; with its event or not at all."""
    if difference.mend is None:
        return False
    with transaction.atomic():
        record(
            system_scope(difference.tenant, request_id),
            actions.DIFFERENCE_MENDED,
            Thing(difference.type, difference.ref),
            details={"what": str(difference.what), "count": difference.count},
        )
        if not (done := difference.mend()):
            transaction.set_rollback(True)
    return done


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
    """Have each published version indexed again whose points are not its passages; gives how many."""
    generation, ordered = generations.serving(), 0
    index = generations.index_of(generation)
    for tenant in each_tenant():
        published = Version.objects.filter(tenant=tenant.id, state=VersionState.PUBLISHED)
        quiet = published.exclude(points.is_open(Kind.REINDEX, "pk"))
        wrong = [version.id for version in quiet.iterator() if _differs(index, version)]
        if not is_still(generation):
            break  # another one answers by now: the next look compares that
        for version in wrong:
            order = partial(points.order, tenant.id, Kind.REINDEX, version)
            ordered += _mend(Difference(What.MISSING_POINTS, tenant.id, "version", version, mend=order))
    if ordered:
        log.warning("index.incomplete versions=%s", ordered)
    return ordered


def _indexes_if_there() -> list[tuple[Generation, PassageIndex]]:
    """What answers, and what is built beside it."""
    try:
        live = filter(None, (generations.serving(), building()))
        return [(generation, generations.index_of(generation)) for generation in live]
    except (IndexUnavailable, ModelMissing):
        return []


def _index() -> PassageIndex:
    return generations.index_of(generations.serving())


def _differs(index: PassageIndex, version: Version) -> bool:
    if index.count(version.tenant, version.id) == version.passage_count:
        return False
    # Retired since the row was read: its points go, as they should.
    return Version.objects.filter(pk=version.pk, state=VersionState.PUBLISHED).exists()
