"""What the workers ask of a passage index and of an engine, whoever provides them.

Only modules of this package know a vendor. Everything else speaks these values and protocols.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class EngineUnavailable(Exception):
    """The engine does not answer: it is starting, stopped or overloaded."""


class IndexUnavailable(Exception):
    """The passage index does not answer: it is starting, stopped or overloaded."""


class IndexLocked(IndexUnavailable):
    """The passage index answers, and refuses our key; the message says what to do."""


class PromptTooLong(Exception):
    """The prompt and the room for an answer do not fit into the model's context."""


@dataclass(frozen=True)
class SparseVector:
    """Token hashes and their weights, same length, each index once."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Point:
    """A passage as the index knows it: vectors and ids, no text."""

    id: UUID
    dense: Sequence[float]
    sparse: SparseVector
    tenant: UUID
    library: UUID
    document: UUID
    version: UUID
    label: int


@dataclass(frozen=True)
class StoredPoint:
    """What the index says about a passage, to be compared with the database; None where it says nothing."""

    id: UUID
    tenant: UUID | None
    library: UUID | None
    document: UUID | None
    version: UUID | None
    label: int | None


@dataclass(frozen=True)
class Hit:
    """A passage found: its cosine with the question, and its BM25 score, 0 where it is not of the best."""

    id: UUID
    document: UUID
    version: UUID
    cosine: float
    words: float


@dataclass(frozen=True)
class IndexFilter:
    """Who may find what. Made from a `Scope` by `engines.index.filter_for`, and nowhere else."""

    tenant: UUID
    libraries: frozenset[UUID]
    max_label: int
    documents: frozenset[UUID] | None = None
    min_label: int = 0


class PassageIndex(Protocol):
    def ensure(self) -> None:
        """Create the collection and its payload indexes where they are missing."""

    def drop(self) -> None:
        """Remove the collection with all its points; one that is gone already is no fault."""

    def upsert(self, points: Sequence[Point]) -> None:
        """Write points and wait until they are durable; the same id overwrites itself."""

    def search(
        self, where: IndexFilter, dense: Sequence[float], sparse: SparseVector, limit: int
    ) -> list[Hit]:
        """The `limit` best by meaning and the `limit` best by words, each once, in no order."""

    def search_each(
        self, where: IndexFilter, asked: Sequence[tuple[Sequence[float], SparseVector]], limit: int
    ) -> list[list[Hit]]:
        """The same for several questions in one request."""

    def by_words(self, where: IndexFilter, sparse: SparseVector, limit: int) -> list[Hit]:
        """The `limit` best by words, best first; how near they are by meaning is not told."""

    def count(self, tenant: UUID, version: UUID | None = None) -> int:
        """Points of a version, or all of a tenant."""

    def delete_versions(self, tenant: UUID, versions: Sequence[UUID]) -> None: ...

    def move_document(self, tenant: UUID, document: UUID, library: UUID, label: int) -> None:
        """Set library and label on every point of a document."""

    def stored_points(self, tenant: UUID, ids: Sequence[UUID] | None = None) -> Iterator[StoredPoint]:
        """Every point of a tenant, or those of `ids`, in the order of their ids."""

    def delete_points(self, tenant: UUID, ids: Sequence[UUID]) -> None: ...

    def strays(self, tenants: Iterable[UUID]) -> Iterator[StoredPoint]:
        """Points of none of these tenants."""

    def delete_strays(self, tenants: Iterable[UUID], ids: Sequence[UUID]) -> None: ...


@dataclass(frozen=True)
class EngineFacts:
    """What runs: names, hashes of the weights and of the chat template, sizes in tokens.

    `rerank_ms` is what the cross-encoder, if there is one, takes for a passage of usual length. Without
    `exact_counts` the tokens of texts and prompts are estimated, rather too many.
    """

    model: str
    model_sha256: str
    context: int
    embedder: str
    embedder_sha256: str
    dimension: int
    max_tokens: int
    build: str
    reranker: str = ""
    reranker_sha256: str = ""
    rerank_ms: float = 0.0
    exact_counts: bool = True
    template_sha256: str = ""


@dataclass(frozen=True)
class Waiting:
    """Others are first: `position` answers are before this one."""

    position: int


@dataclass(frozen=True)
class Token:
    text: str


@dataclass(frozen=True)
class Finished:
    """`reason` is stop, length or cancelled; times in seconds."""

    reason: str
    prompt_tokens: int
    output_tokens: int
    queued_s: float
    prompt_s: float
    output_s: float


ChatEvent = Waiting | Token | Finished

# Texts to vectors, with the embedder chosen already.
Embed = Callable[[Sequence[str]], list[list[float]]]


# A question and passages to a number each, with the cross-encoder chosen already.
Rescore = Callable[[str, Sequence[str]], list[float]]


class Engine(Protocol):
    def facts(self) -> EngineFacts: ...

    def tokenize(self, texts: Sequence[str]) -> list[int]:
        """How many tokens of the language model each text has."""

    def prompt_tokens(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Tokens of the whole prompt after the model's chat template."""

    def embed(self, texts: Sequence[str], embedder: str = "") -> list[list[float]]:
        """One vector of length one for each text, by an embedder's name or hash; "" is the first."""

    def rerank(self, question: str, passages: Sequence[str]) -> list[float]:
        """One number a passage by the cross-encoder, the higher the better; only where `facts` names one."""

    def speed_trial(self) -> tuple[float, float]:
        """Prompt and output tokens a second, measured in about ten seconds."""

    def chat(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        max_tokens: int,
        tenant: str,
        conversation: str,
        temperature: float = 0.0,
        seed: int = 0,
        grammar: str = "",
        stop: threading.Event | None = None,
    ) -> Iterator[ChatEvent]:
        """Generate an answer, within a grammar (GBNF) where the engine is our own. Closing the iterator or
        setting `stop` ends it within one small batch."""
