"""The index against the database, point by point.

Both are gone through side by side in the order of their ids, so memory does not grow with them. People work
meanwhile, so what the first look finds is only a suspicion; a second look decides, in an order that cannot
be wrong:

- What should be there: database, index, database. A version is published after its points were counted, so
  what the database had before must be in the index after, unless the database says otherwise by then.
- What should not be there: index, database, index. Rows are written before their points, and a removal ends
  after its points are gone, so a point that is still there when nobody is to remove it belongs to nobody.

Only payloads are compared; which model made a vector is not written beside it. While a generation is built
beside the one that answers, each is compared with what it has to have by then.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet

from muniment.documents.generations import is_still, unmark
from muniment.documents.models import (
    IN_WORK,
    Generation,
    GenerationState,
    Passage,
    Version,
    VersionState,
)
from muniment.jobs import services as jobs
from muniment.jobs.models import OPEN_STATES, Job, Kind
from muniment.tenancy.models import Tenant
from muniment.tenancy.services import system_scope
from muniment.wall import within
from workers.engines import PassageIndex, StoredPoint
from workers.upkeep.difference import Difference, What

PAGE = 1000
LOOKED_AT_AGAIN = 200


@dataclass(frozen=True)
class Side:
    """What a tenant has in one generation of the index."""

    tenant: UUID
    generation: Generation
    index: PassageIndex

    def passages(self) -> QuerySet[Passage]:
        """Those that have to be there."""
        cut = self.generation.number if self.cuts_anew else F("version__cut")
        return Passage.objects.filter(
            tenant=self.tenant,
            cut=cut,
            version__state=VersionState.PUBLISHED,
            version__indexed_in__gte=self.generation.number,
        )

    @property
    def is_built(self) -> bool:
        return self.generation.state == GenerationState.BUILDING

    @property
    def cuts_anew(self) -> bool:
        return self.is_built and self.generation.cuts

    def write_again(self, version: UUID) -> bool:
        if self.is_built:
            return bool(unmark(self.generation, [version]))
        return order(self.tenant, Kind.REINDEX, version)


@dataclass(frozen=True)
class Place:
    """Where the database has a passage."""

    version: UUID
    document: UUID
    library: UUID
    label: int

    def differs(self, point: StoredPoint) -> bool:
        return self != Place(point.version, point.document, point.library, point.label)  # type: ignore[arg-type]  # None differs

    def moved(self, point: StoredPoint) -> bool:
        """Only library or label differ, as after a move."""
        return (self.version, self.document) == (point.version, point.document)


def look(side: Side) -> Iterator[Difference]:
    """Every difference of one tenant, within whose wall this is called. Raises `IndexUnavailable`."""
    suspects = _suspects(side)
    while some := list(islice(suspects, LOOKED_AT_AGAIN)):
        found = list(_decided(side, some))
        if not is_still(side.generation):
            return  # another one answers: then this was compared with what is to be in that
        yield from found


def look_for_strays(index: PassageIndex) -> Iterator[Difference]:
    """Points that say they are of a tenant that is not here, or of none."""
    known = _tenants()
    if not known:
        return
    strays = index.strays(known)
    while some := list(islice(strays, PAGE)):
        # A tenant may have been made since: again the index came first, so the database knows better.
        known = _tenants()
        lost = [point.id for point in some if point.tenant not in known]
        if lost:
            mend = partial(_delete_strays, index, lost)
            yield Difference(What.FOREIGN_POINTS, UUID(int=0), "index", "", len(lost), mend)


def _delete_strays(index: PassageIndex, ids: list[UUID]) -> bool:
    index.delete_strays(_tenants(), ids)
    return True


def _tenants() -> list[UUID]:
    return list(Tenant.objects.values_list("id", flat=True))


def _suspects(side: Side) -> Iterator[UUID]:
    """The first look: ids in one place only, or with different payloads."""
    points = ((point.id, point) for point in side.index.stored_points(side.tenant))
    both: Iterator[tuple[UUID, Any]] = heapq.merge(points, _published(side), key=itemgetter(0))
    for id, sides in groupby(both, key=itemgetter(0)):
        point, *place = [side for _id, side in sides]
        if not place or place[0].differs(point):
            yield id


def _published(side: Side) -> Iterator[tuple[UUID, Place]]:
    """Every passage that people find, in the order of the ids, each page by a query of its own."""
    last = UUID(int=0)
    while rows := list(_placed(side.passages().filter(pk__gt=last).order_by("pk")[:PAGE])):
        yield from rows
        last = rows[-1][0]


def _placed(passages: QuerySet[Passage]) -> Iterator[tuple[UUID, Place]]:
    columns = ("pk", "version", "version__document", "version__document__library", "version__document__label")
    for id, *place in passages.values_list(*columns):
        yield id, Place(*place)


def is_open(kind: Kind, subject: str) -> Exists:
    """For a query: whether work of the kind is ordered for what its column `subject` names."""
    return Exists(Job.objects.filter(kind=kind, subject=OuterRef(subject), state__in=OPEN_STATES))


def _settled(side: Side, ids: Iterable[UUID]) -> dict[UUID, Place]:
    """Those published, and nobody is about to write their points again; read in one statement."""
    quiet = side.passages().exclude(is_open(Kind.REINDEX, "version") | is_open(Kind.BUILD, "version"))
    return dict(_placed(quiet.exclude(is_open(Kind.MOVE, "version__document")).filter(pk__in=list(ids))))


def _decided(side: Side, ids: list[UUID]) -> Iterator[Difference]:
    before = _settled(side, ids)
    points = {point.id: point for point in side.index.stored_points(side.tenant, ids)}
    after = _settled(side, ids)
    yield from _not_as_written(side, points, {id: at for id, at in after.items() if before.get(id) == at})
    yield from _not_wanted(side, [point for id, point in points.items() if id not in after])


def _not_as_written(
    side: Side, points: dict[UUID, StoredPoint], wanted: dict[UUID, Place]
) -> Iterator[Difference]:
    missing: dict[UUID, int] = defaultdict(int)
    rewrite: dict[UUID, int] = defaultdict(int)
    moved: dict[UUID, int] = defaultdict(int)
    for id, place in wanted.items():
        point = points.get(id)
        if point is None:
            missing[place.version] += 1
        elif place.differs(point):
            where, key = (moved, place.document) if place.moved(point) else (rewrite, place.version)
            where[key] += 1
    for what, found in ((What.MISSING_POINTS, missing), (What.MISPLACED_POINTS, rewrite)):
        for version, count in found.items():
            yield Difference(what, side.tenant, "version", version, count, partial(side.write_again, version))
    for document, count in moved.items():
        move = partial(order, side.tenant, Kind.MOVE, document)
        yield Difference(What.MISPLACED_POINTS, side.tenant, "document", document, count, move)


def order(tenant: UUID, kind: Kind, subject: UUID) -> bool:
    jobs.create(system_scope(tenant), kind, subject)
    return True


def _not_wanted(side: Side, points: list[StoredPoint]) -> Iterator[Difference]:
    """Which of these points nobody needs: by the version that they are of, or say they are of."""
    if not points:
        return
    tenant, index = side.tenant, side.index
    passages = dict(
        Passage.objects.filter(tenant=tenant, pk__in=[p.id for p in points]).values_list("pk", "version")
    )
    version_of = {point.id: passages.get(point.id, point.version) for point in points}
    versions = Version.objects.filter(tenant=tenant, pk__in=[v for v in version_of.values() if v])
    quiet = versions.exclude(
        is_open(Kind.REMOVE, "pk")
        | is_open(Kind.REINDEX, "pk")
        | is_open(Kind.INGEST, "pk")
        | is_open(Kind.BUILD, "pk")
    )
    states = dict(quiet.values_list("pk", "state"))
    known = set(versions.values_list("pk", flat=True))
    doubtful = [
        id
        for id, version in version_of.items()
        if version not in known
        or (
            (version in states and states[version] not in IN_WORK)
            and not (states[version] == VersionState.PUBLISHED and id in passages)
        )
    ]
    still = {point.id for point in index.stored_points(tenant, doubtful)}
    unwanted = {id: version_of[id] for id in doubtful if id in still}
    foreign = _elsewhere(tenant, unwanted) if unwanted else set()
    if foreign:
        ids = sorted(foreign)
        # Ids of another tenant stay out of this one's trail.
        yield Difference(
            What.FOREIGN_POINTS, tenant, "index", "", len(ids), partial(_delete, index, tenant, ids)
        )
    by_version: dict[UUID | None, list[UUID]] = defaultdict(list)
    for id, version in unwanted.items():
        if id not in foreign:
            by_version[version].append(id)
    for version, ids in by_version.items():
        mend = partial(_delete_unwanted, index, tenant, version, ids)
        yield Difference(What.ORPHAN_POINTS, tenant, "version", version or "", len(ids), mend)


def _elsewhere(tenant: UUID, unwanted: dict[UUID, UUID | None]) -> set[UUID]:
    """Those whose passage or version is another tenant's: asked of each of them behind its own wall."""
    found: set[UUID] = set()
    for other in _tenants():
        if other == tenant:
            continue
        with within(other):
            found.update(
                Passage.objects.filter(tenant=other, pk__in=list(unwanted)).values_list("pk", flat=True)
            )
            versions = Version.objects.filter(tenant=other, pk__in=[v for v in unwanted.values() if v])
            theirs = set(versions.values_list("pk", flat=True))
        found.update(id for id, version in unwanted.items() if version in theirs)
    return found


def _delete(index: PassageIndex, tenant: UUID, ids: list[UUID]) -> bool:
    index.delete_points(tenant, ids)
    return True


def _delete_unwanted(index: PassageIndex, tenant: UUID, version: UUID | None, ids: list[UUID]) -> bool:
    """The version's row is locked meanwhile: one that failed cannot be taken up again and lose new points."""
    rows = Version.objects.select_for_update().filter(tenant=tenant)
    row = rows.filter(pk=version).first() if version else None
    if row and row.state in IN_WORK:
        return False
    if row and row.state == VersionState.PUBLISHED:
        ids = sorted(set(ids) - set(row.passages.filter(pk__in=ids).values_list("pk", flat=True)))
    index.delete_points(tenant, ids)
    return bool(ids)
