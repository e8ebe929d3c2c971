"""The makings of the passage index: which one answers, and which is built beside it.

They are the installation's, not a tenant's: one embedder is loaded for the questions of all, and one row
says which. So each tenant has one embedder in each generation, and all change it in the same moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from uuid import UUID

from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from muniment.audit import actions
from muniment.audit.services import Thing, record
from muniment.documents.models import Generation, GenerationState, Passage, Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.services import forget_failed
from muniment.pages.errors import Forbidden
from muniment.scope import Role, Scope
from muniment.tenancy.queries import each_tenant
from muniment.tenancy.services import system_scope

# Nobody brings passages of these to people any more.
GONE = (VersionState.SUPERSEDED, VersionState.FAILED, VersionState.DELETED)


@dataclass(frozen=True)
class Making:
    """With what an index is made: another value of any of these makes another index."""

    embedder: str
    embedder_sha256: str
    dimension: int
    splitter: int
    words: int

    def cuts_as(self, other: Making) -> bool:
        """Whether its passages are the other's. They are sized in the tokens of the embedder."""
        return (self.embedder_sha256, self.splitter) == (other.embedder_sha256, other.splitter)


def making(generation: Generation) -> Making:
    return Making(
        generation.embedder,
        generation.embedder_sha256,
        generation.dimension,
        generation.splitter,
        generation.words,
    )


def serving() -> Generation | None:
    """The one that answers; None before the first document of an installation."""
    return Generation.objects.filter(state=GenerationState.SERVING).first()


def building() -> Generation | None:
    return Generation.objects.filter(state=GenerationState.BUILDING).first()


def kept() -> list[Generation]:
    """All that the index has, the oldest first: what is removed or moved, is so in each of them."""
    return list(Generation.objects.exclude(state=GenerationState.REMOVED).order_by("number"))


def begin_first(made: Making) -> Generation:
    """The first one of an installation serves at once, empty as it is."""
    fields = {"state": GenerationState.SERVING, "served_at": timezone.now(), **asdict(made)}
    return Generation.objects.get_or_create(number=1, defaults=fields)[0]


@transaction.atomic
def begin(scope: Scope, made: Making) -> Generation:
    """Have another index built beside the one that answers. One that is being built so goes on.

    Raises `Forbidden` for everybody but a site's administrator.
    """
    rows = _for_administrator(scope)
    before = _in_state(rows, GenerationState.SERVING)
    begun = _in_state(rows, GenerationState.BUILDING)
    forget_failed(Kind.BUILD)
    if begun and making(begun) == made:
        return begun
    if begun:
        _retire(begun)
    new = Generation.objects.create(
        number=max((row.number for row in rows), default=0) + 1,
        state=GenerationState.BUILDING,
        cuts=not (before and made.cuts_as(making(before))),
        **asdict(made),
    )
    record(scope, actions.INDEX_BEGUN, _thing(new), details=_details(new, before))
    return new


@transaction.atomic
def abandon(scope: Scope) -> bool:
    """Build no further; what answers goes on. Whether anything was being built. Raises `Forbidden`."""
    begun = _in_state(_for_administrator(scope), GenerationState.BUILDING)
    if begun is None:
        return False
    _retire(begun)
    record(scope, actions.INDEX_ABANDONED, _thing(begun), details=_details(begun, None))
    return True


def is_still(generation: Generation, rows: Iterable[Generation] | None = None) -> bool:
    """Whether it answers, or is being built, as it did when it was read."""
    rows = Generation.objects.all() if rows is None else rows
    return any((row.number, row.state) == (generation.number, generation.state) for row in rows)


def hold() -> int:
    """In the open transaction: the number of the one that answers, and nothing changes that until it ends.

    All rows are locked: PostgreSQL would skip one that ceased to serve while this waited for it.
    """
    found = _in_state(_locked(), GenerationState.SERVING)
    return found.number if found else 0


@transaction.atomic
def switch(number: int) -> bool:
    """Have the one that was built answer from now on; False while a published version is missing in it.

    Whoever publishes waits for the end of this transaction, and then finds out.
    """
    rows = _locked()
    before = _in_state(rows, GenerationState.SERVING)
    new = _in_state(rows, GenerationState.BUILDING)
    if new is None or new.number != number or before is None:
        return False
    if any(unbuilt(tenant.id, new).exists() for tenant in each_tenant()):
        return False
    for tenant in each_tenant():
        if new.cuts:
            adopt(published(tenant.id), new.number)
        # Answers of each tenant rest on another model from now on.
        record(system_scope(tenant.id), actions.INDEX_SWITCHED, _thing(new), details=_details(new, before))
    _retire(before)
    new.state, new.served_at = GenerationState.SERVING, timezone.now()
    new.save(update_fields=["state", "served_at"])
    return True


def published(tenant: UUID) -> QuerySet[Version]:
    """What the index has to have."""
    return Version.objects.filter(tenant=tenant, state=VersionState.PUBLISHED)


def unbuilt(tenant: UUID, generation: Generation) -> QuerySet[Version]:
    return published(tenant).filter(indexed_in__lt=generation.number)


def mark(version: Version, number: int) -> bool:
    """Note that a generation has all points of a version; False for one that is out of view by now."""
    rows = Version.objects.filter(pk=version.pk).exclude(state__in=GONE)
    if not rows.update(indexed_in=number):
        return False
    version.indexed_in = number
    return True


@transaction.atomic
def unmark(generation: Generation, versions: Iterable[UUID]) -> int:
    """Have versions built again whose points a generation lost before it came to answer."""
    if not is_still(generation, _locked()):
        return 0
    rows = Version.objects.filter(pk__in=list(versions), indexed_in__gte=generation.number)
    return rows.update(indexed_in=generation.number - 1)


def cut_of(version: Version, generation: Generation) -> int:
    """Which passages of a version are in a generation."""
    return max(version.cut, generation.number) if generation.cuts else version.cut


def adopt(versions: QuerySet[Version], cut: int) -> None:
    """In the open transaction: make passages that were cut anew the versions' own."""
    counted = (
        Passage.objects.filter(version=OuterRef("pk"), cut=cut)
        .order_by()
        .values("version")
        .annotate(n=Count("pk"))
        .values("n")
    )
    versions.update(cut=cut, passage_count=Coalesce(Subquery(counted), 0))


def adopt_cut(version: Version, generation: Generation) -> None:
    """The same for one that nobody sees yet, and of which nobody names a passage."""
    cut = cut_of(version, generation)
    with transaction.atomic():
        adopt(Version.objects.filter(pk=version.pk), cut)
        version.passages.exclude(cut=cut).delete()
    version.refresh_from_db(fields=["cut", "passage_count"])


def count(generation: Generation, documents: int, built: int) -> None:
    """Keep how far it is, for whoever looks."""
    Generation.objects.filter(pk=generation.pk).update(documents=documents, built=built)


def build_anew() -> None:
    """After a restore or a move, which leave the index behind: nothing of what is being built is there."""
    if begun := building():
        for tenant in each_tenant():
            unmark(begun, published(tenant.id).values_list("id", flat=True))


def removed(generation: Generation) -> None:
    """Its points are gone."""
    Generation.objects.filter(pk=generation.pk, state=GenerationState.RETIRED).update(
        state=GenerationState.REMOVED
    )


def _locked() -> list[Generation]:
    return list(Generation.objects.select_for_update().order_by("number"))


def _for_administrator(scope: Scope) -> list[Generation]:
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    return _locked()


def _in_state(rows: Iterable[Generation], state: GenerationState) -> Generation | None:
    return next((row for row in rows if row.state == state), None)


def _retire(generation: Generation) -> None:
    generation.state, generation.retired_at = GenerationState.RETIRED, timezone.now()
    generation.save(update_fields=["state", "retired_at"])


def _thing(generation: Generation) -> Thing:
    return Thing("index", str(generation.number))


def _details(new: Generation, before: Generation | None) -> dict[str, object]:
    return {
        "embedder_sha256": new.embedder_sha256,
        "splitter": new.splitter,
        "generation_before": before.number if before else None,
    }
