"""Clients of the parts that this installation uses, one of each a process, made when first asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings

from workers.engines import Engine, PassageIndex

if TYPE_CHECKING:
    from workers.engines.embed import PassageEmbedder


@cache
def index(dimension: int, generation: int) -> PassageIndex:
    """A generation of the passage index, for vectors of `dimension` numbers; never before a fork."""
    from workers.engines.index import QdrantIndex

    key = settings.INDEX_KEY or None
    found = QdrantIndex(settings.INDEX_URL, dimension, generation=generation, api_key=key)
    found.ensure()
    return found


@cache
def engine() -> Engine:
    from workers.engines.engine import OpenAIEngine
    from workers.engines.remote import RemoteEngine
    from workers.engines.servers import Wanted

    own = OpenAIEngine(settings.ENGINE_URL)
    if not settings.MODEL_URL:
        return own
    wanted = Wanted(settings.MODEL_URL, settings.MODEL_KEY, settings.LANGUAGE_MODEL, settings.MODEL_CONTEXT)
    return RemoteEngine(wanted, own, settings.MODEL_SILENCE_SECONDS)


@cache
def passage_embedder(name: str, sha256: str) -> PassageEmbedder:
    """Loads the model: only in the process that embeds, and only after its fork.

    Raises `ModelMissing`, also where other bytes go by the name, `ModelDamaged`, `ModelUnusable`.
    """
    from workers.engines.catalogue import exactly
    from workers.engines.embed import PassageEmbedder
    from workers.engines.int8 import multiplied_directly

    int8 = settings.EMBEDDING_PRECISION == "auto" and multiplied_directly()
    return PassageEmbedder(exactly(name, sha256), int8=int8)
