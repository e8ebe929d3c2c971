"""The passage index through the stock Qdrant client: our embedded index or a Qdrant server.

One collection holds the passages of all tenants for one embedder (a generation). Words are weighed by
the statistics of the libraries that are looked through: each search names their points as the corpus of its
IDF, which Qdrant can do since 1.19; `ensure` refuses an older server, which would mix the tenants'.
"""

from __future__ import annotations

import json
import ssl
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from itertools import chain, islice
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import httpx
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from muniment.scope import Scope
from workers.engines import (
    Hit,
    IndexFilter,
    IndexLocked,
    IndexUnavailable,
    Point,
    SparseVector,
    StoredPoint,
)

DENSE = "dense"
WORDS = "words"
BATCH = 256
OLDEST_SERVER = (1, 19)
# Edges of the tenants' own graphs on a Qdrant server; the embedded index compares exactly.
TENANT_EDGES = 16

_KEYWORD = models.PayloadSchemaType.KEYWORD
PAYLOAD_INDEXES: dict[str, models.KeywordIndexParams | models.PayloadSchemaType] = {
    "tenant": models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True),
    "library": _KEYWORD,
    "document": _KEYWORD,
    "version": _KEYWORD,
    "label": models.PayloadSchemaType.INTEGER,
}

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class IndexRefused(Exception):
    """The index answers, but cannot do this: wrong dimension, too old, or a request it does not know."""


def filter_for(
    scope: Scope,
    libraries: Iterable[UUID] | None = None,
    documents: Iterable[UUID] | None = None,
    label: int | None = None,
) -> IndexFilter:
    """Who asks decides: `libraries`, `documents` and `label` can only narrow what the scope may read.

    An empty selection finds nothing; None asks for everything that may be read.
    """
    readable = scope.libraries if libraries is None else scope.libraries & frozenset(libraries)
    return IndexFilter(
        tenant=scope.tenant,
        libraries=readable,
        max_label=int(scope.clearance) if label is None else min(label, int(scope.clearance)),
        documents=None if documents is None else frozenset(documents),
        min_label=label or 0,
    )


def _is(field: str, value: UUID) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchValue(value=str(value)))


def _one_of(field: str, values: Iterable[UUID]) -> models.FieldCondition:
    return models.FieldCondition(key=field, match=models.MatchAny(any=sorted(map(str, values))))


def _of_tenant(tenant: UUID, *conditions: models.FieldCondition) -> models.Filter:
    """Every filter is made here, so every filter names its tenant."""
    return models.Filter(must=[_is("tenant", tenant), *conditions])


def _visible(where: IndexFilter) -> models.Filter:
    conditions = [
        _one_of("library", where.libraries),
        models.FieldCondition(
            key="label", range=models.Range(gte=where.min_label or None, lte=where.max_label)
        ),
    ]
    if where.documents is not None:
        conditions.append(_one_of("document", where.documents))
    return _of_tenant(where.tenant, *conditions)


def _queries(
    where: IndexFilter, dense: Sequence[float], sparse: SparseVector, limit: int
) -> list[models.QueryRequest]:
    """The best by meaning, the best by words, and how near these are by meaning."""
    common, words = _best(where, limit), _by_words(where)
    by_meaning = {"query": models.NearestQuery(nearest=list(dense)), "using": DENSE, **common}
    requests = [models.QueryRequest(**by_meaning)]
    if sparse.indices:
        best = models.Prefetch(query=_sparse(sparse), filter=common["filter"], limit=limit, **words)
        requests += [
            models.QueryRequest(query=models.NearestQuery(nearest=_sparse(sparse)), **words, **common),
            models.QueryRequest(prefetch=[best], **by_meaning),
        ]
    return requests


def _nowhere(where: IndexFilter) -> bool:
    return not where.libraries or (where.documents is not None and not where.documents)


def _best(where: IndexFilter, limit: int) -> dict[str, Any]:
    """What every query asks for: so many of those that may be seen, and whose they are."""
    return {"filter": _visible(where), "limit": limit, "with_payload": ["document", "version"]}


def _by_words(where: IndexFilter) -> dict[str, Any]:
    """Words weighed by how rare they are in the libraries that are looked through.

    A word common in one library is rare in another of another language or subject, and what a person may
    not read never moves a score. One document alone would be too little to tell by.
    """
    corpus = models.IdfCorpusParams(corpus=_of_tenant(where.tenant, _one_of("library", where.libraries)))
    return {"using": WORDS, "params": models.SearchParams(idf=corpus)}


def _typed_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Say what happened in our own errors; the vendor's texts may name paths and stay in the cause."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (ResponseHandlingException, ResourceExhaustedResponse, json.JSONDecodeError) as error:
            raise IndexUnavailable("The passage index does not answer. Try again in a moment.") from error
        except UnexpectedResponse as error:
            raise _error_for(error.status_code or 500) from error

    return call


def _error_for(status: int) -> Exception:
    if status in (401, 403):
        return IndexLocked(
            "The passage index does not accept our key: see the file that MUNIMENT_INDEX_KEY_FILE names, and "
            "start index and workers again after a change."
        )
    if status == 404:
        return IndexUnavailable(
            "The passage index has no collection yet. Wait until the workers have started."
        )
    if status >= 500 or status == 429:
        return IndexUnavailable("The passage index cannot work at the moment. Try again in a moment.")
    return IndexRefused("The passage index refused the request; it may be of another version or embedder.")


def _client(url: str, api_key: str | None, timeout: int) -> QdrantClient:
    settings: dict[str, Any] = {
        "check_compatibility": False,
        "timeout": timeout,
        "api_key": api_key,
        "port": None,
    }
    # Proxies named in the environment are for the way out; the index is inside.
    settings["trust_env"] = False
    # The settings take a plain address for this machine and an internal network only.
    warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
    if url.startswith("unix:"):
        transport = httpx.HTTPTransport(uds=url.removeprefix("unix:"))
        return QdrantClient(url="http://index", transport=transport, **settings)
    if url.startswith("https://"):
        settings["verify"] = ssl.create_default_context()
    return QdrantClient(url=url, **settings)


class QdrantIndex:
    """A `PassageIndex`. Safe to share between threads; make it after a fork, not before.

    `url` is `unix:/path/to.sock`, `http://host:port` or `https://host`; `dimension` is the embedder's;
    `timeout` in seconds for each request. Every method raises `IndexUnavailable` when the index is away,
    `IndexRefused` when it cannot do what is asked.
    """

    def __init__(
        self,
        url: str,
        dimension: int,
        *,
        generation: int = 1,
        api_key: str | None = None,
        timeout: int = 20,
        prefix: str = "passages",
    ) -> None:
        self.collection = f"{prefix}-{generation}"
        self._dimension = dimension
        self._client = _client(url, api_key, timeout)

    def close(self) -> None:
        self._client.close()

    @_typed_errors
    def ensure(self) -> None:
        version = self._client.info().version
        if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < OLDEST_SERVER:
            raise IndexRefused(f"The passage index is Qdrant {version}; 1.19 or newer is needed.")
        if not self._client.collection_exists(self.collection):
            self._create()
        info = self._client.get_collection(self.collection)
        vectors = info.config.params.vectors
        dense = vectors.get(DENSE) if isinstance(vectors, dict) else None
        if dense is None or dense.size != self._dimension:
            raise IndexRefused(
                f"The passage index was not made for vectors of {self._dimension} numbers. "
                "Another embedder needs another generation of the index."
            )
        for field, kind in PAYLOAD_INDEXES.items():
            if field not in info.payload_schema:
                self._client.create_payload_index(self.collection, field, kind, wait=True)

    def _create(self) -> None:
        try:
            self._client.create_collection(
                self.collection,
                vectors_config={
                    DENSE: models.VectorParams(size=self._dimension, distance=models.Distance.COSINE)
                },
                sparse_vectors_config={WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                hnsw_config=models.HnswConfigDiff(m=0, payload_m=TENANT_EDGES),
            )
        except UnexpectedResponse as error:
            if error.status_code != 409:  # another worker was quicker
                raise

    @_typed_errors
    def drop(self) -> None:
        self._client.delete_collection(self.collection)

    @_typed_errors
    def upsert(self, points: Sequence[Point]) -> None:
        for some in _pieces(points):
            self._client.upsert(self.collection, [_stored(point) for point in some], wait=True)

    def search(
        self, where: IndexFilter, dense: Sequence[float], sparse: SparseVector, limit: int
    ) -> list[Hit]:
        """The `limit` best by meaning and the `limit` best by words, each once, in no order."""
        return self.search_each(where, [(dense, sparse)], limit)[0]

    @_typed_errors
    def search_each(
        self, where: IndexFilter, asked: Sequence[tuple[Sequence[float], SparseVector]], limit: int
    ) -> list[list[Hit]]:
        """The same for several questions in one request, three queries each."""
        if _nowhere(where):
            return [[] for _one in asked]
        requests = [_queries(where, dense, sparse, limit) for dense, sparse in asked]
        answers = iter(self._client.query_batch_points(self.collection, list(chain(*requests))))
        return [_hits(*(answer.points for answer in islice(answers, len(some)))) for some in requests]

    @_typed_errors
    def by_words(self, where: IndexFilter, sparse: SparseVector, limit: int) -> list[Hit]:
        if not sparse.indices or _nowhere(where):
            return []
        request = models.QueryRequest(
            query=models.NearestQuery(nearest=_sparse(sparse)), **_by_words(where), **_best(where, limit)
        )
        (answer,) = self._client.query_batch_points(self.collection, [request])
        return [replace(_hit(point, point.score), cosine=0.0) for point in answer.points]

    @_typed_errors
    def count(self, tenant: UUID, version: UUID | None = None) -> int:
        where = _of_tenant(tenant, *([_is("version", version)] if version else []))
        return self._client.count(self.collection, count_filter=where, exact=True).count

    @_typed_errors
    def delete_versions(self, tenant: UUID, versions: Sequence[UUID]) -> None:
        if not versions:
            return
        self._delete(_of_tenant(tenant, _one_of("version", versions)))

    @_typed_errors
    def move_document(self, tenant: UUID, document: UUID, library: UUID, label: int) -> None:
        where = _of_tenant(tenant, _is("document", document))
        payload = {"library": str(library), "label": label}
        self._client.set_payload(self.collection, payload=payload, points=where, wait=True)

    def stored_points(
        self, tenant: UUID, ids: Sequence[UUID] | None = None, batch: int = 1000
    ) -> Iterator[StoredPoint]:
        if ids is None:
            yield from self._scrolled(_of_tenant(tenant), batch)
            return
        for some in _pieces(ids):
            yield from self._scrolled(_these(_of_tenant(tenant), some), batch)

    @_typed_errors
    def delete_points(self, tenant: UUID, ids: Sequence[UUID]) -> None:
        for some in _pieces(ids):
            self._delete(_these(_of_tenant(tenant), some))

    def strays(self, tenants: Iterable[UUID]) -> Iterator[StoredPoint]:
        yield from self._scrolled(_of_nobody(tenants), BATCH)

    @_typed_errors
    def delete_strays(self, tenants: Iterable[UUID], ids: Sequence[UUID]) -> None:
        nobodys = _of_nobody(tenants)
        for some in _pieces(ids):
            self._delete(_these(nobodys, some))

    def _delete(self, where: models.Filter) -> None:
        self._client.delete(self.collection, points_selector=models.FilterSelector(filter=where), wait=True)

    def _scrolled(self, where: models.Filter, batch: int) -> Iterator[StoredPoint]:
        offset: Any = None
        while True:
            records, offset = self._scroll(where, batch, offset)
            yield from (_stored_point(record) for record in records)
            if offset is None:
                return

    @_typed_errors
    def _scroll(self, where: models.Filter, batch: int, offset: Any) -> tuple[list[models.Record], Any]:
        return self._client.scroll(
            self.collection,
            scroll_filter=where,
            limit=batch,
            offset=offset,
            with_payload=["tenant", "library", "document", "version", "label"],
            with_vectors=False,
        )


def _of_nobody(tenants: Iterable[UUID]) -> models.Filter:
    """The one filter that names no tenant: it names all those whose points it must not touch."""
    known = list(tenants)
    if not known:
        raise ValueError("without a tenant every point would be nobody's")
    return models.Filter(must_not=[_one_of("tenant", known)])


def _these(where: models.Filter, ids: Sequence[UUID]) -> models.Filter:
    named = models.HasIdCondition(has_id=[str(id) for id in ids])
    must = where.must if isinstance(where.must, list) else []
    return models.Filter(must=[*must, named], must_not=where.must_not)


def _pieces(many: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(many), BATCH):
        yield many[start : start + BATCH]


def _sparse(vector: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _stored(point: Point) -> models.PointStruct:
    vector: dict[str, Any] = {DENSE: list(point.dense), WORDS: _sparse(point.sparse)}
    payload = {
        "tenant": str(point.tenant),
        "library": str(point.library),
        "document": str(point.document),
        "version": str(point.version),
        "label": point.label,
    }
    return models.PointStruct(id=str(point.id), vector=vector, payload=payload)


def _hits(
    nearest: Sequence[models.ScoredPoint],
    by_words: Sequence[models.ScoredPoint] = (),
    compared: Sequence[models.ScoredPoint] = (),
) -> list[Hit]:
    words = {point.id: point.score for point in by_words}
    found = {point.id: point for point in (*nearest, *compared)}
    return [_hit(point, words.get(id, 0.0)) for id, point in found.items()]


def _hit(point: models.ScoredPoint, words: float) -> Hit:
    payload = point.payload or {}
    return Hit(
        id=UUID(str(point.id)),
        document=UUID(payload["document"]),
        version=UUID(payload["version"]),
        cosine=point.score,
        words=words,
    )


def _stored_point(record: models.Record) -> StoredPoint:
    payload = record.payload or {}
    label = payload.get("label")
    return StoredPoint(
        id=UUID(str(record.id)),
        tenant=_uuid(payload.get("tenant")),
        library=_uuid(payload.get("library")),
        document=_uuid(payload.get("document")),
        version=_uuid(payload.get("version")),
        label=label if isinstance(label, int) else None,
    )


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value))
    except ValueError:
        return None
