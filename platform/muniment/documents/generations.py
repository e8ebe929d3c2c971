"""The makings of the passage index: which one answers, and which is built beside it.

They are the installation's, not a tenant's: one embedder is loaded for the questions of all, and one row
says which. So each tenant has one embedder in each generation, and all change it in the same moment.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.utils import timezone

from muniment.documents.models import Generation, GenerationState


@dataclass(frozen=True)
class Making:
    """With what an index is made: another value of any of these makes another index."""

    embedder: str
    embedder_sha256: str
    dimension: int
    splitter: int
    words: int


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


def begin_first(made: Making) -> Generation:
    """The first one of an installation serves at once, empty as it is."""
    fields = {"state": GenerationState.SERVING, "served_at": timezone.now(), **asdict(made)}
    return Generation.objects.get_or_create(number=1, defaults=fields)[0]
