"""Making another generation of the index beside the one that answers, a step at a time by the clock.

Each document is a job of its own, and the version's row says when it is done: so whoever is killed goes on
where it was. When nothing is left one transaction has the new generation answer. The old one stays for a few
minutes, for whoever asked which one answers just before.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from muniment.conversations.models import Source
from muniment.documents import generations as rows
from muniment.documents.models import Generation, GenerationState, Passage
from muniment.jobs.models import Job, Kind, State
from muniment.jobs.queries import open_count
from muniment.jobs.services import create_many
from muniment.tenancy.queries import each_tenant
from muniment.tenancy.services import system_scope
from workers import generations
from workers.engines import EngineUnavailable, connect
from workers.upkeep.points import is_open

log = logging.getLogger(__name__)

# Jobs ordered at once: the queue hardly runs dry between two looks, and an upload waits for no more of them.
ORDERED_AT_ONCE = 100
PIECE = 500
# A search and an answer's retrieval are over by then.
GRACE = timedelta(minutes=2)


@dataclass(frozen=True)
class Progress:
    """Of the documents that the new generation has to have; `failed` were tried several times."""

    documents: int
    built: int
    failed: int


def go_on() -> None:
    """The next step, if there is any. Raises `IndexUnavailable`."""
    for generation in rows.kept():
        if generation.state == GenerationState.BUILDING:
            _build(generation)
        elif _is_over(generation):
            _remove(generation)


def _is_over(generation: Generation) -> bool:
    retired_at = generation.retired_at
    return retired_at is not None and retired_at < timezone.now() - GRACE


def progress(generation: Generation) -> Progress:
    documents = left = failed = 0
    for tenant in each_tenant():
        unbuilt = rows.unbuilt(tenant.id, generation)
        documents += rows.published(tenant.id).count()
        left += unbuilt.count()
        failed += unbuilt.filter(_failed()).exclude(is_open(Kind.BUILD, "pk")).count()
    return Progress(documents, documents - left, failed)


def _build(generation: Generation) -> None:
    seen = progress(generation)
    rows.count(generation, seen.documents, seen.built)
    if seen.built == seen.documents:
        _switch(generation)
    elif open_count(Kind.BUILD) < ORDERED_AT_ONCE // 2:
        for tenant in each_tenant():
            quiet = rows.unbuilt(tenant.id, generation).exclude(_failed() | is_open(Kind.BUILD, "pk"))
            ids = quiet.order_by("created_at").values_list("id", flat=True)[:ORDERED_AT_ONCE]
            create_many(system_scope(tenant.id), Kind.BUILD, ids)


def _failed() -> Exists:
    return Exists(Job.objects.filter(kind=Kind.BUILD, subject=OuterRef("pk"), state=State.FAILED))


def _switch(generation: Generation) -> None:
    if lost := _lost(generation):
        log.warning("index.building_lost versions=%s", lost)
        return
    try:
        # Loads the embedder, so that the first question after the switch does not wait for it.
        generations.embed_with(connect.engine(), generation)(["Ready?"])
    except EngineUnavailable:
        log.warning("index.waits for=the engine with %s", generation.embedder)
        return
    if rows.switch(generation.number):
        log.info("index.switched generation=%s", generation.number)


def _lost(generation: Generation) -> int:
    """Have built again what the index acknowledged once and has no more; gives how many versions."""
    index, lost = generations.index_of(generation), 0
    for tenant in each_tenant():
        if index.count(tenant.id) >= _passages(tenant.id, generation):
            continue
        published = rows.published(tenant.id)
        gone = [
            version.id
            for version in published.iterator()
            if index.count(tenant.id, version.id)
            < version.passages.filter(cut=rows.cut_of(version, generation)).count()
        ]
        lost += rows.unmark(generation, gone)
    return lost


def _passages(tenant: UUID, generation: Generation) -> int:
    cut = generation.number if generation.cuts else F("version__cut")
    return Passage.objects.filter(version__in=rows.published(tenant), cut=cut).count()


def _remove(generation: Generation) -> None:
    """What was replaced, or given up: its points, and the passages that it alone had and no answer names."""
    generations.index_of(generation).drop()
    connect.index.cache_clear()
    for tenant in each_tenant():
        named = Exists(Source.objects.filter(tenant=tenant.id, passage=OuterRef("pk")))
        others = Passage.objects.filter(tenant=tenant.id, version__in=rows.published(tenant.id))
        others = others.exclude(cut=F("version__cut"))
        if begun := rows.building():
            others = others.exclude(cut=begun.number)
        _delete(others.exclude(named))
    rows.removed(generation)
    log.info("index.removed generation=%s", generation.number)


def _delete(passages: QuerySet[Passage]) -> None:
    """In pieces: nobody who writes waits for long."""
    while some := list(passages.values_list("pk", flat=True)[:PIECE]):
        Passage.objects.filter(pk__in=some).delete()
