"""The generation of the index that answers, and the parts that belong to it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django.conf import settings

from muniment.documents import generations
from muniment.documents.generations import Making
from muniment.documents.models import Generation
from workers.engines import Embed, Engine, PassageIndex, catalogue, connect
from workers.engines.sparse import WORDS_VERSION

if TYPE_CHECKING:
    from workers.engines.embed import PassageEmbedder

# Another way to cut text makes other passages, so it takes another generation of the index.
SPLITTER_VERSION = 3


def wanted() -> Making:
    """With what the settings and this release would make the index. Raises `ModelMissing`."""
    entry = catalogue.model(settings.EMBEDDER)
    return Making(entry.name, entry.sha256, entry.dimension, SPLITTER_VERSION, WORDS_VERSION)


def serving() -> Generation:
    """Asked of the database each time, so that nobody goes on with one that was replaced: one small row.

    Raises `ModelMissing` where there is none yet and the settings name an embedder that nobody knows.
    """
    return generations.serving() or generations.begin_first(wanted())


def kept() -> list[Generation]:
    """All that the index has; the first one of a new installation among them."""
    return generations.kept() or [serving()]


def index_of(generation: Generation) -> PassageIndex:
    """Raises `IndexUnavailable`."""
    return connect.index(generation.dimension, generation.number)


def embedder_of(generation: Generation) -> PassageEmbedder:
    """Loaded when first asked for. Raises `ModelMissing`, `ModelDamaged`, `ModelUnusable`."""
    return connect.passage_embedder(generation.embedder, generation.embedder_sha256)


def embed_with(engine: Engine, generation: Generation) -> Embed:
    """How questions are embedded for a generation: by the model that embedded its passages."""
    return partial(engine.embed, embedder=generation.embedder_sha256)
