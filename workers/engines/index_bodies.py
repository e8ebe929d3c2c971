"""The part of Qdrant's REST language that the embedded index understands, as strict bodies.

Anything else in a request is refused, never dropped: a filter that is quietly ignored would show
one tenant's passages to another. Each body knows how to say itself to Qdrant Edge.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import qdrant_edge as edge
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,62}$")]
Payload = dict[FieldName, StrictStr | StrictInt]
FIELD_KINDS = {"keyword": edge.PayloadSchemaType.Keyword, "integer": edge.PayloadSchemaType.Integer}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


class Match(Body):
    """One of `value` and `any`."""

    value: StrictStr | StrictInt | None = None
    any: list[StrictStr] | list[StrictInt] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Match:
        if (self.value is None) == (self.any is None):
            raise ValueError("a match has either a value or a list of values")
        return self

    def to_edge(self) -> edge.MatchValue | edge.MatchAny:
        if self.value is not None:
            return edge.MatchValue(self.value)
        return edge.MatchAny(self.any or [])


class Range(Body):
    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None

    def to_edge(self) -> edge.RangeFloat:
        return edge.RangeFloat(gte=self.gte, gt=self.gt, lte=self.lte, lt=self.lt)


class Condition(Body):
    key: FieldName
    match: Match | None = None
    range: Range | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Condition:
        if (self.match is None) == (self.range is None):
            raise ValueError("a condition has either a match or a range")
        return self

    def to_edge(self) -> edge.FieldCondition:
        return edge.FieldCondition(
            self.key,
            match=self.match.to_edge() if self.match else None,
            range=self.range.to_edge() if self.range else None,
        )


class Filter(Body):
    """All conditions hold. There is no empty filter: it would mean everybody's passages."""

    must: list[Condition] = Field(min_length=1)

    def to_edge(self) -> edge.Filter:
        return edge.Filter(must=[condition.to_edge() for condition in self.must])


class HasId(Body):
    has_id: list[UUID] = Field(min_length=1, max_length=10_000)

    def to_edge(self) -> edge.HasIdCondition:
        return edge.HasIdCondition(set(self.has_id))


class Apart(Body):
    """For upkeep, which also looks for points that belong to nobody: never in a search."""

    must: list[Condition | HasId] = Field(default_factory=list)
    must_not: list[Condition] = Field(default_factory=list)

    @model_validator(mode="after")
    def _not_everything(self) -> Apart:
        if not self.must and not self.must_not:
            raise ValueError("a filter has a condition")
        return self

    def to_edge(self) -> edge.Filter:
        return edge.Filter(
            must=[condition.to_edge() for condition in self.must],
            must_not=[condition.to_edge() for condition in self.must_not],
        )


class Sparse(Body):
    indices: list[Annotated[int, Field(ge=0, lt=2**32)]]
    values: list[float]

    @model_validator(mode="after")
    def _pairs(self) -> Sparse:
        if len(self.indices) != len(self.values):
            raise ValueError("a sparse vector has as many values as indices")
        if len(set(self.indices)) != len(self.indices):
            raise ValueError("a sparse vector has each index once")
        return self

    def to_edge(self) -> edge.SparseVector:
        return edge.SparseVector(self.indices, self.values)


Vector = list[float] | Sparse


def edge_vector(vector: Vector) -> list[float] | edge.SparseVector:
    return vector.to_edge() if isinstance(vector, Sparse) else vector


class DenseParams(Body):
    size: int = Field(ge=1, le=65536)
    distance: Literal["Cosine"]


class SparseParams(Body):
    modifier: Literal["idf"]


class HnswParams(Body):
    """Graphs only speed a large server up. The embedded index compares exactly and builds none."""

    m: Literal[0]
    payload_m: int = Field(default=0, ge=0)


class CreateCollection(Body):
    vectors: dict[FieldName, DenseParams] = Field(min_length=1)
    sparse_vectors: dict[FieldName, SparseParams] = Field(default_factory=dict)
    hnsw_config: HnswParams


class FieldSchema(Body):
    type: Literal["keyword", "integer"]
    is_tenant: Literal[True] | None = None


class CreateFieldIndex(Body):
    field_name: FieldName
    field_schema: Literal["keyword", "integer"] | FieldSchema

    def to_edge(self) -> edge.PayloadSchemaType | edge.KeywordIndexParams:
        if isinstance(self.field_schema, str):
            return FIELD_KINDS[self.field_schema]
        if self.field_schema.is_tenant and self.field_schema.type == "keyword":
            return edge.KeywordIndexParams(is_tenant=True)
        return FIELD_KINDS[self.field_schema.type]


class PointBody(Body):
    id: UUID
    vector: dict[FieldName, Vector]
    payload: Payload

    def to_edge(self) -> edge.Point:
        vectors: dict[str, edge.NamedVector] = {
            name: edge_vector(vector) for name, vector in self.vector.items()
        }
        return edge.Point(self.id, vectors, dict(self.payload))


class Upsert(Body):
    points: list[PointBody] = Field(min_length=1)


class Idf(Body):
    corpus: Filter


class SearchParams(Body):
    """`idf.corpus` says whose passages count when rare words are told from common ones."""

    idf: Idf

    def to_edge(self) -> edge.SearchParams:
        return edge.SearchParams(exact=True, idf=edge.IdfParams(corpus=self.idf.corpus.to_edge()))


def _search(params: SearchParams | None) -> edge.SearchParams:
    return params.to_edge() if params else edge.SearchParams(exact=True)


class Nearest(Body):
    nearest: Vector


class Prefetch(Body):
    query: Vector
    using: FieldName
    filter: Filter
    params: SearchParams | None = None
    limit: int = Field(ge=1, le=10_000)

    def to_edge(self) -> edge.Prefetch:
        return edge.Prefetch(
            limit=self.limit,
            query=edge.Query.Nearest(edge_vector(self.query), using=self.using),
            filter=self.filter.to_edge(),
            params=_search(self.params),
        )


class QueryPoints(Body):
    """The points nearest to one vector: of all that the filter lets through, or of what prefetches found."""

    query: Nearest
    using: FieldName
    filter: Filter
    prefetch: list[Prefetch] = Field(default_factory=list, max_length=4)
    params: SearchParams | None = None
    limit: int = Field(ge=1, le=10_000)
    with_payload: list[FieldName] = Field(default_factory=list)
    with_vector: Literal[False] = False

    def to_edge(self) -> edge.QueryRequest:
        return edge.QueryRequest(
            limit=self.limit,
            query=edge.Query.Nearest(edge_vector(self.query.nearest), using=self.using),
            prefetches=[prefetch.to_edge() for prefetch in self.prefetch],
            filter=self.filter.to_edge(),
            params=_search(self.params),
            with_payload=edge.PayloadSelector.Include(self.with_payload),
        )

    def vectors(self) -> list[tuple[str, Vector]]:
        """The named vectors that this query compares with."""
        asked = [(self.using, self.query.nearest)]
        return asked + [(prefetch.using, prefetch.query) for prefetch in self.prefetch]


class QueryBatch(Body):
    """Several queries in one request, each answered as if it had come alone."""

    searches: list[QueryPoints] = Field(min_length=1, max_length=12)


class Count(Body):
    filter: Filter
    exact: Literal[True] = True


class Delete(Body):
    filter: Apart


class SetPayload(Body):
    payload: Payload = Field(min_length=1)
    filter: Filter


class Scroll(Body):
    filter: Apart
    limit: int = Field(ge=1, le=10_000)
    offset: UUID | None = None
    with_payload: list[FieldName] = Field(default_factory=list)
    with_vector: Literal[False] = False

    def to_edge(self) -> edge.ScrollRequest:
        return edge.ScrollRequest(
            offset=self.offset,
            limit=self.limit,
            filter=self.filter.to_edge(),
            with_payload=edge.PayloadSelector.Include(self.with_payload),
        )
