"""What every passage index must do. Runs against the embedded index, or a server named in the environment."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.scope import Scope
from tests.engines.index_process import DIMENSION, direction, make_point
from workers.engines import Hit, IndexFilter, IndexUnavailable, SparseVector
from workers.engines.index import BATCH, IndexRefused, QdrantIndex, filter_for
from workers.engines.sparse import query_vector

WORD = query_vector("lamp")


def ids(hits: list[Hit]) -> set[UUID]:
    return {hit.id for hit in hits}


@pytest.fixture
def tenant() -> UUID:
    return uuid4()


def test_a_passage_is_found_with_its_document_and_version(index: QdrantIndex, tenant: UUID) -> None:
    point = make_point(tenant)
    index.upsert([point])
    where = IndexFilter(tenant, frozenset({point.library}), max_label=0)
    (hit,) = index.search(where, direction(0), WORD, limit=5)
    assert (hit.id, hit.document, hit.version) == (point.id, point.document, point.version)


def test_the_best_by_word_and_the_best_by_meaning_are_found(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    by_word = make_point(tenant, "replace the fuse KS-4471", axis=1, library=library)
    by_meaning = make_point(tenant, "a spare part of the machine", axis=2, library=library)
    others = [make_point(tenant, f"paragraph {n} on holidays", axis=3, library=library) for n in range(20)]
    index.upsert([by_word, by_meaning, *others])
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    hits = {hit.id: hit for hit in index.search(where, direction(2), query_vector("KS 4471"), limit=1)}
    assert set(hits) == {by_word.id, by_meaning.id}
    assert hits[by_meaning.id].words == 0 < hits[by_word.id].words


def test_what_is_found_by_words_is_compared_by_meaning_too(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    near, far = (make_point(tenant, text, axis=axis, library=library) for text, axis in (("a", 0), ("b", 1)))
    index.upsert([near, far])
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    hits = {hit.id: hit for hit in index.search(where, direction(0), query_vector("b"), limit=1)}
    assert hits[near.id].cosine == pytest.approx(1)
    assert hits[far.id].cosine == pytest.approx(0, abs=1e-6)


def test_a_question_without_words_is_answered_by_meaning(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    lamp = make_point(tenant, "lamp", axis=0, library=library)
    chair = make_point(tenant, "chair", axis=1, library=library)
    index.upsert([lamp, chair])
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    assert ids(index.search(where, direction(1), SparseVector((), ()), limit=1)) == {chair.id}


def test_several_questions_are_answered_at_once_each_as_if_alone(index: QdrantIndex, tenant: UUID) -> None:
    """Four, one without words: the most that a question is taken apart into."""
    library = uuid4()
    words = ("lamp", "chair", "table", "door")
    index.upsert([make_point(tenant, word, axis=axis, library=library) for axis, word in enumerate(words)])
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    vectors = [*map(query_vector, words[:3]), SparseVector((), ())]
    asked = [(direction(axis), vector) for axis, vector in enumerate(vectors)]
    found = index.search_each(where, asked, limit=2)
    assert [ids(hits) for hits in found] == [ids(index.search(where, *one, limit=2)) for one in asked]
    assert index.search_each(IndexFilter(tenant, frozenset(), max_label=0), asked, limit=2) == [[]] * 4


def test_a_passage_without_words_is_found_by_meaning(index: QdrantIndex, tenant: UUID) -> None:
    point = make_point(tenant, text="***")
    index.upsert([point])
    where = IndexFilter(tenant, frozenset({point.library}), max_label=0)
    assert ids(index.search(where, direction(0), WORD, limit=5)) == {point.id}


def test_rare_words_weigh_more_within_a_tenant(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    common = [make_point(tenant, "lamp", library=library) for _ in range(30)]
    rare = make_point(tenant, "chandelier", library=library)
    index.upsert([*common, rare])
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    words = {
        hit.id: hit.words for hit in index.search(where, direction(0), query_vector("lamp or chandelier"), 31)
    }
    assert words[rare.id] > 3 * words[common[0].id]


def test_other_libraries_do_not_move_scores_unless_they_are_looked_through(
    index: QdrantIndex, tenant: UUID
) -> None:
    library, other = uuid4(), uuid4()
    index.upsert([make_point(tenant, text, library=library) for text in ("lamp", "lamp chair", "table")])
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    before = index.search(where, direction(0), WORD, limit=5)
    index.upsert([make_point(tenant, "lamp", library=other) for _ in range(300)])
    assert set(index.search(where, direction(0), WORD, limit=5)) == set(before)
    both = IndexFilter(tenant, frozenset({library, other}), max_label=0)
    weights = {hit.words for hit in index.search(both, direction(0), WORD, limit=400) if hit.words}
    assert max(weights) < max(hit.words for hit in before)


def test_another_tenants_passages_do_not_move_scores(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    index.upsert([make_point(tenant, text, library=library) for text in ("lamp", "lamp chair", "table")])
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    before = index.search(where, direction(0), WORD, limit=5)
    index.upsert([make_point(uuid4(), "lamp", library=library) for _ in range(300)])
    assert set(index.search(where, direction(0), WORD, limit=5)) == set(before)
    assert sum(hit.words > 0 for hit in before) == 2


def test_nobody_finds_another_tenants_passages(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    index.upsert([make_point(uuid4(), library=library)])
    where = IndexFilter(tenant, frozenset({library}), max_label=9)
    assert index.search(where, direction(0), WORD, limit=5) == []


def test_labels_above_the_clearance_are_not_found(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    points = [make_point(tenant, library=library, label=label) for label in range(4)]
    index.upsert(points)
    where = IndexFilter(tenant, frozenset({library}), max_label=1)
    assert ids(index.search(where, direction(0), WORD, limit=9)) == {point.id for point in points[:2]}


def test_a_question_can_be_kept_to_one_label(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    points = [make_point(tenant, library=library, label=label) for label in range(4)]
    index.upsert(points)
    scope = Scope(tenant=tenant, person=uuid4(), libraries=frozenset({library}), clearance=2)
    for label, found in ((0, {points[0].id}), (2, {points[2].id}), (3, set())):
        assert ids(index.search(filter_for(scope, label=label), direction(0), WORD, limit=9)) == found


def test_a_question_can_be_kept_to_some_documents(index: QdrantIndex, tenant: UUID) -> None:
    library = uuid4()
    points = [make_point(tenant, library=library) for _ in range(3)]
    index.upsert(points)
    where = IndexFilter(tenant, frozenset({library}), 0, documents=frozenset({points[1].document}))
    assert ids(index.search(where, direction(0), WORD, limit=9)) == {points[1].id}


@pytest.mark.parametrize("empty", ["libraries", "documents"])
def test_an_empty_selection_finds_nothing(index: QdrantIndex, tenant: UUID, empty: str) -> None:
    point = make_point(tenant)
    index.upsert([point])
    where = IndexFilter(tenant, frozenset({point.library}), 0, documents=frozenset({point.document}))
    assert len(index.search(where, direction(0), WORD, limit=5)) == 1
    assert index.search(replace(where, **{empty: frozenset()}), direction(0), WORD, limit=5) == []


def test_a_scope_becomes_a_filter_that_can_only_narrow() -> None:
    mine, other, document = uuid4(), uuid4(), uuid4()
    scope = Scope(tenant=uuid4(), person=uuid4(), libraries=frozenset({mine}), clearance=2)
    assert filter_for(scope) == IndexFilter(scope.tenant, frozenset({mine}), 2, None)
    assert filter_for(scope, libraries=[mine, other]).libraries == {mine}
    assert filter_for(scope, libraries=[other]).libraries == frozenset()
    assert filter_for(scope, libraries=[]).libraries == frozenset()
    assert filter_for(scope, documents=[document]).documents == {document}
    assert filter_for(scope, documents=[]).documents == frozenset()


LIBRARIES = [UUID(int=n + 1) for n in range(3)]
DOCUMENTS = [UUID(int=n + 11) for n in range(3)]
places = st.tuples(
    st.integers(0, 1), st.sampled_from(LIBRARIES), st.sampled_from(DOCUMENTS), st.integers(0, 3)
)


@settings(max_examples=60, deadline=None)
@given(
    stored=st.lists(places, min_size=1, max_size=25),
    libraries=st.frozensets(st.sampled_from(LIBRARIES)),
    clearance=st.integers(0, 3),
    asked=st.none() | st.frozensets(st.sampled_from(LIBRARIES)),
    documents=st.none() | st.frozensets(st.sampled_from(DOCUMENTS)),
)
def test_exactly_what_the_scope_may_read_is_found(
    index: QdrantIndex,
    stored: list[tuple[int, UUID, UUID, int]],
    libraries: frozenset[UUID],
    clearance: int,
    asked: frozenset[UUID] | None,
    documents: frozenset[UUID] | None,
) -> None:
    tenants = [uuid4(), uuid4()]
    points = [
        make_point(tenants[at], library=library, document=document, label=label)
        for at, library, document, label in stored
    ]
    index.upsert(points)
    where = filter_for(Scope(tenant=tenants[0], libraries=libraries, clearance=clearance), asked, documents)
    expected = {
        point.id
        for point in points
        if point.tenant == tenants[0]
        and point.library in libraries
        and (asked is None or point.library in asked)
        and (documents is None or point.document in documents)
        and point.label <= clearance
    }
    hits = index.search(where, direction(0), WORD, limit=50)
    assert ids(hits) == expected
    assert all(hit.words > 0 for hit in hits)


def test_writing_twice_changes_nothing(index: QdrantIndex, tenant: UUID) -> None:
    version, library = uuid4(), uuid4()
    points = [make_point(tenant, version=version, library=library) for _ in range(BATCH + 44)]
    index.upsert(points)
    index.upsert(points)
    assert index.count(tenant, version) == len(points)
    where = IndexFilter(tenant, frozenset({library}), max_label=0)
    hits = index.search(where, direction(0), WORD, limit=2 * len(points))
    assert len(hits) == len(ids(hits)) == len(points)


def test_a_point_written_again_has_the_new_values(index: QdrantIndex, tenant: UUID) -> None:
    old = make_point(tenant, "lamp", axis=0)
    index.upsert([old])
    index.upsert([make_point(tenant, "chair", axis=1, id=old.id, library=old.library)])
    where = IndexFilter(tenant, frozenset({old.library}), max_label=0)
    assert [hit.words for hit in index.search(where, direction(1), WORD, limit=5)] == [0]
    (hit,) = index.search(where, direction(1), query_vector("chair"), limit=5)
    assert hit.id == old.id and hit.words > 0 and hit.cosine == pytest.approx(1)


def test_count_is_by_tenant_and_version(index: QdrantIndex, tenant: UUID) -> None:
    version = uuid4()
    index.upsert([make_point(tenant, version=version) for _ in range(3)])
    index.upsert([make_point(tenant), make_point(uuid4(), version=version)])
    assert index.count(tenant, version) == 3
    assert index.count(uuid4(), version) == 0


def test_deleting_versions_leaves_the_others_and_other_tenants(index: QdrantIndex, tenant: UUID) -> None:
    gone, kept, neighbour = uuid4(), uuid4(), uuid4()
    index.upsert([make_point(tenant, version=gone), make_point(tenant, version=kept)])
    index.upsert([make_point(neighbour, version=gone)])
    index.delete_versions(tenant, [gone, uuid4()])
    assert [index.count(tenant, gone), index.count(tenant, kept), index.count(neighbour, gone)] == [0, 1, 1]
    index.delete_versions(tenant, [])
    assert index.count(tenant, kept) == 1


def test_a_moved_document_is_found_only_where_it_went(index: QdrantIndex, tenant: UUID) -> None:
    document, here, there, neighbour = uuid4(), uuid4(), uuid4(), uuid4()
    points = [make_point(tenant, library=here, document=document) for _ in range(3)]
    foreign = make_point(neighbour, library=here, document=document)
    index.upsert([*points, foreign])
    index.move_document(tenant, document, there, label=2)
    secret = IndexFilter(tenant, frozenset({here, there}), max_label=1)
    assert index.search(secret, direction(0), WORD, limit=9) == []
    moved = IndexFilter(tenant, frozenset({there}), max_label=2)
    assert ids(index.search(moved, direction(0), WORD, limit=9)) == {point.id for point in points}
    unmoved = IndexFilter(neighbour, frozenset({here}), max_label=0)
    assert ids(index.search(unmoved, direction(0), WORD, limit=9)) == {foreign.id}


def test_stored_points_are_all_of_one_tenant(index: QdrantIndex, tenant: UUID) -> None:
    points = [make_point(tenant, label=3) for _ in range(7)]
    index.upsert([*points, make_point(uuid4())])
    stored = list(index.stored_points(tenant, batch=3))
    assert sorted((p.id, p.library, p.document, p.version, p.label) for p in stored) == sorted(
        (p.id, p.library, p.document, p.version, p.label) for p in points
    )


def test_stored_points_come_in_the_order_of_their_ids(index: QdrantIndex, tenant: UUID) -> None:
    """Comparing with the database goes through both side by side."""
    points = [make_point(tenant) for _ in range(40)]
    index.upsert(points)
    index.delete_versions(tenant, [points[5].version])
    index.upsert([points[5]])
    stored = [point.id for point in index.stored_points(tenant, batch=7)]
    assert stored == sorted(point.id for point in points)


def test_some_points_are_looked_up_and_deleted_by_id(index: QdrantIndex, tenant: UUID) -> None:
    points = [make_point(tenant) for _ in range(BATCH + 3)]
    foreign = make_point(uuid4())
    index.upsert([*points, foreign])
    asked = [point.id for point in points[1:]] + [foreign.id, uuid4()]
    assert {point.id for point in index.stored_points(tenant, asked)} == {point.id for point in points[1:]}
    index.delete_points(tenant, asked)
    assert [point.id for point in index.stored_points(tenant)] == [points[0].id]
    assert index.count(foreign.tenant, foreign.version) == 1
    index.delete_points(tenant, [])
    assert list(index.stored_points(tenant, [])) == []


def test_points_of_nobody_are_found_and_deleted(index: QdrantIndex, tenant: UUID) -> None:
    mine, lost = make_point(tenant), [make_point(uuid4()) for _ in range(3)]
    index.upsert([mine, *lost])
    found = {point.id: point.tenant for point in index.strays([tenant])}
    assert {point.id: point.tenant for point in lost}.items() <= found.items()
    assert mine.id not in found
    index.delete_strays([tenant, lost[2].tenant], [mine.id, *(point.id for point in lost)])
    left = {point.id for point in index.strays([tenant])}
    assert left & {point.id for point in lost} == {lost[2].id}
    assert index.count(tenant, mine.version) == 1
    with pytest.raises(ValueError, match="without a tenant"):
        list(index.strays([]))


def test_ensure_again_keeps_everything(index: QdrantIndex, tenant: UUID) -> None:
    point = make_point(tenant)
    index.upsert([point])
    index.ensure()
    assert index.count(tenant, point.version) == 1


def test_all_points_of_a_tenant_are_counted(index: QdrantIndex, tenant: UUID) -> None:
    points = [make_point(tenant, f"{n}") for n in range(3)]
    index.upsert([*points, make_point(uuid4())])
    assert index.count(tenant) == 3
    assert index.count(tenant, points[0].version) == 1


def test_a_generation_is_dropped_and_the_others_stay(
    index_url: str, index: QdrantIndex, tenant: UUID
) -> None:
    prefix = index.collection.rpartition("-")[0]
    second = QdrantIndex(index_url, DIMENSION + 1, generation=2, prefix=prefix)
    second.ensure()
    index.upsert([make_point(tenant)])
    second.drop()
    assert index.count(tenant) == 1
    with pytest.raises(IndexUnavailable):
        second.count(tenant)
    second.drop()
    again = QdrantIndex(index_url, DIMENSION, generation=2, prefix=prefix)
    again.ensure()
    assert again.count(tenant) == 0
    again.drop()


def test_another_embedder_needs_another_generation(index_url: str, index: QdrantIndex) -> None:
    prefix = index.collection.removesuffix("-1")
    with pytest.raises(IndexRefused, match="another generation"):
        QdrantIndex(index_url, DIMENSION + 1, prefix=prefix).ensure()


def test_a_vector_of_the_wrong_length_is_refused(index: QdrantIndex, tenant: UUID) -> None:
    point = make_point(tenant)
    with pytest.raises(IndexRefused):
        index.upsert([make_point(tenant, version=point.version), replace(point, dense=[1.0])])
    assert index.count(tenant, point.version) == 0


def test_without_its_collection_the_index_is_unavailable(index_url: str) -> None:
    missing = QdrantIndex(index_url, DIMENSION, prefix="test-never-made")
    with pytest.raises(IndexUnavailable, match="no collection"):
        missing.count(uuid4(), uuid4())


def test_nobody_at_the_address_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailable):
        QdrantIndex(f"unix:{tmp_path}/none.sock", DIMENSION).ensure()


def test_a_silent_server_is_unavailable_after_the_timeout(tmp_path: Path) -> None:
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(f"{tmp_path}/s")
    silent.listen()
    with silent, pytest.raises(IndexUnavailable):
        QdrantIndex(f"unix:{tmp_path}/s", DIMENSION, timeout=1).count(uuid4(), uuid4())


class Fixed(http.server.BaseHTTPRequestHandler):
    """Answers everything with the status and body of its server."""

    status = 500
    body = b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def serve(status: int, body: bytes) -> Iterator[str]:
    handler = type("Handler", (Fixed,), {"status": status, "body": body})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"{}"), (503, b"busy"), (429, b"{}"), (401, b"{}"), (200, b"<html>a proxy")]
)
def test_a_server_in_trouble_is_unavailable(status: int, body: bytes) -> None:
    for url in serve(status, body):
        with pytest.raises(IndexUnavailable):
            QdrantIndex(url, DIMENSION).ensure()


def test_a_server_that_would_mix_tenants_statistics_is_refused() -> None:
    for url in serve(200, b'{"title": "qdrant", "version": "1.18.3"}'):
        with pytest.raises(IndexRefused, match=r"1\.18\.3"):
            QdrantIndex(url, DIMENSION).ensure()
