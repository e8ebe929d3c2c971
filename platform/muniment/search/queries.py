"""Which documents a search is kept to, and which are meant by their name."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from muniment.documents.forms import KINDS
from muniment.documents.models import Document, Passage, VersionState
from muniment.documents.queries import visible_documents, with_endings
from muniment.scope import Scope
from muniment.search.asked import Narrowing


def documents_within(scope: Scope, narrowing: Narrowing) -> frozenset[UUID] | None:
    """The documents of a kind, of some days, or the one chosen; None where the index tells by itself."""
    if not (narrowing.document or narrowing.kind or narrowing.since or narrowing.until):
        return None
    return frozenset(_narrowed(scope, narrowing).values_list("pk", flat=True))


def documents_named(scope: Scope, narrowing: Narrowing, names: Collection[str], most: int) -> frozenset[UUID]:
    """At most `most` documents that have one of these in their name or title."""
    if not names:
        return frozenset()
    named = Q()
    for name in names:
        named |= Q(name__icontains=name) | Q(title__icontains=name)
    return frozenset(_narrowed(scope, narrowing).filter(named).values_list("pk", flat=True)[:most])


def passages_with(scope: Scope, narrowing: Narrowing, words: str, most: int) -> list[Passage]:
    """At most `most` published passages whose text has these words in a row: every text is looked through."""
    found = Passage.objects.filter(
        tenant=scope.tenant,
        text__icontains=words,
        version__document__in=_narrowed(scope, narrowing),
        version__document__current=F("version"),
        # Not those that another index is being made of.
        cut=F("version__cut"),
    )
    return list(found.select_related("version")[:most])


def _narrowed(scope: Scope, narrowing: Narrowing) -> QuerySet[Document]:
    documents = visible_documents(scope).filter(current__state=VersionState.PUBLISHED)
    if narrowing.libraries:
        documents = documents.filter(library__in=narrowing.libraries)
    if narrowing.document:
        documents = documents.filter(pk=narrowing.document)
    if narrowing.kind:
        documents = with_endings(documents, KINDS[narrowing.kind][1])
    if narrowing.label is not None:
        documents = documents.filter(label=narrowing.label)
    if narrowing.since:
        documents = documents.filter(current__published_at__gte=_begin_of(narrowing.since))
    if narrowing.until:
        documents = documents.filter(current__published_at__lt=_begin_of(narrowing.until + timedelta(days=1)))
    return documents


def _begin_of(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
