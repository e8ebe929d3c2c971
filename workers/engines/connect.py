"""Clients of the parts that this installation uses, one of each a process, made when first asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

from workers.engines import Engine, PassageIndex

if TYPE_CHECKING:
    from workers.engines.embed import PassageEmbedder


@cache
def index(dimension: int) -> PassageIndex:
    """The passage index for vectors of `dimension` numbers; never before a fork."""
    from workers.engines.index import QdrantIndex

    found = QdrantIndex(settings.INDEX_URL, dimension, api_key=settings.INDEX_KEY or None)
    found.ensure()
    return found


@cache
def engine() -> Engine:
    from workers.engines.engine import OpenAIEngine

    return OpenAIEngine(settings.ENGINE_URL)


@cache
def passage_embedder() -> PassageEmbedder:
    """Loads the model: only in the process that embeds, and only after its fork."""
    from workers.engines.catalogue import path_of
    from workers.engines.embed import PassageEmbedder

    return PassageEmbedder(path_of(settings.EMBEDDER))
