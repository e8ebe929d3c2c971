"""The embedded index as a process: it keeps what it acknowledged, and refuses what it does not serve."""

from __future__ import annotations

import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.engines.index_process import DIMENSION, ROOT, IndexProcess, direction, index_command, make_point
from workers.engines import IndexFilter, IndexUnavailable
from workers.engines.index import QdrantIndex
from workers.engines.sparse import query_vector

COLLECTION = {
    "vectors": {"dense": {"size": DIMENSION, "distance": "Cosine"}},
    "sparse_vectors": {"words": {"modifier": "idf"}},
    "hnsw_config": {"m": 0},
}
FILTER = {"must": [{"key": "tenant", "match": {"value": "t"}}]}
BATCH = "/collections/raw/points/query/batch"
NEAREST = {"query": {"nearest": direction(0)}, "using": "dense", "filter": FILTER, "limit": 3}


@pytest.fixture(scope="module")
def server(new_index_process: Callable[[], IndexProcess]) -> IndexProcess:
    return new_index_process().start()


@pytest.fixture(scope="module")
def http(server: IndexProcess) -> Iterator[httpx.Client]:
    with server.http as client:
        assert client.put("/collections/raw", json=COLLECTION).json()["result"] is True
        yield client


def run_server(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        index_command(*arguments), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


def refused(response: httpx.Response, status: int) -> str:
    """The error sentence, in the envelope that every error of Qdrant has."""
    assert response.status_code == status, response.text
    message = response.json()["status"]["error"]
    assert isinstance(message, str) and message
    return message


def test_nothing_acknowledged_is_lost_by_kill_9(new_index_process: Callable[[], IndexProcess]) -> None:
    server = new_index_process()
    tenant, acknowledged = uuid4(), set[UUID]()
    delays = random.Random(4471)
    for _ in range(4):
        server.start()
        index = QdrantIndex(server.url, DIMENSION)
        index.ensure()
        killer = threading.Timer(delays.uniform(0.2, 1.0), server.kill)
        killer.start()
        with pytest.raises(IndexUnavailable):
            while True:
                points = [make_point(tenant, f"lamp {n}", axis=n % 8) for n in range(64)]
                index.upsert(points)
                acknowledged.update(point.id for point in points)
        killer.join()
        index.close()
    server.start()
    index = QdrantIndex(server.url, DIMENSION)
    stored = {point.id for point in index.stored_points(tenant)}
    assert len(acknowledged) > 500
    assert acknowledged <= stored
    index.close()


def test_it_goes_on_after_a_restart(new_index_process: Callable[[], IndexProcess]) -> None:
    server = new_index_process().start()
    index = QdrantIndex(server.url, DIMENSION)
    index.ensure()
    point = make_point(uuid4())
    index.upsert([point])
    assert server.stop() == 0
    with pytest.raises(IndexUnavailable):
        index.count(point.tenant, point.version)
    started = time.monotonic()
    server.start()
    assert time.monotonic() - started < 5
    where = IndexFilter(point.tenant, frozenset({point.library}), max_label=0)
    assert [hit.id for hit in index.search(where, direction(0), query_vector("lamp"), 5)] == [point.id]
    index.close()


def test_many_deleted_points_do_not_stay(new_index_process: Callable[[], IndexProcess]) -> None:
    server = new_index_process().start()
    index = QdrantIndex(server.url, DIMENSION)
    index.ensure()
    tenant, old, new = uuid4(), uuid4(), uuid4()
    index.upsert([make_point(tenant, version=old) for _ in range(1500)])
    index.upsert([make_point(tenant, version=new) for _ in range(200)])
    index.delete_versions(tenant, [old])
    server.stop()
    before = _bytes(server.folder)
    server.start()
    assert [index.count(tenant, old), index.count(tenant, new)] == [0, 200]
    server.stop()
    assert _bytes(server.folder) < before
    index.close()


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("segments/**/*") if path.is_file())


def test_a_second_process_is_refused_with_a_sentence(server: IndexProcess, http: httpx.Client) -> None:
    second = run_server("--uds", server.uds, "--folder", server.folder)
    assert second.returncode == 3
    assert second.stderr.strip() == (
        "The index folder is in use by another process. Stop that one, or give this one another folder."
    )
    assert http.get("/readyz").status_code == 200
    with server.http as fresh:
        assert fresh.get("/readyz").status_code == 200


def test_a_damaged_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data" / "passages-1" / "shard").mkdir(parents=True)
    (tmp_path / "data" / "passages-1" / "collection.json").write_text('{"vectors": ')
    ended = run_server("--uds", tmp_path / "s", "--folder", tmp_path / "data")
    assert ended.returncode == 4
    assert "passages-1" in ended.stderr and "backup" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_what_a_killed_creation_left_is_no_hindrance(new_index_process: Callable[[], IndexProcess]) -> None:
    server = new_index_process()
    (server.folder / "passages-1" / "shard" / "wal").mkdir(parents=True)
    server.start()
    index = QdrantIndex(server.url, DIMENSION)
    index.ensure()
    point = make_point(uuid4())
    index.upsert([point])
    assert index.count(point.tenant, point.version) == 1
    index.close()


def test_what_is_dropped_is_gone_from_the_disk_and_after_a_kill(
    new_index_process: Callable[[], IndexProcess],
) -> None:
    server = new_index_process().start()
    first, second = (QdrantIndex(server.url, DIMENSION, generation=number) for number in (1, 2))
    tenant = uuid4()
    for index in (first, second):
        index.ensure()
        index.upsert([make_point(tenant)])
    first.drop()
    assert [path.name for path in server.folder.iterdir() if path.is_dir()] == ["passages-2"]
    # As a kill in the middle leaves it: without its description it is not there.
    second_folder = server.folder / "passages-2"
    server.kill()
    (server.folder / "passages-3" / "shard").mkdir(parents=True)
    server.start()
    assert [path for path in server.folder.iterdir() if path.is_dir()] == [second_folder]
    assert second.count(tenant) == 1


def test_a_taken_port_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_server("--port", taken.getsockname()[1], "--folder", tmp_path)
    assert ended.returncode == 4
    assert "choose another" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--uds", "/tmp/" + "long" * 30], "107 bytes"),
        (["--port", "6333", "--host", "0.0.0.0"], "this machine only"),
        (["--port", "6333", "--host", "example"], "an address"),
        ([], "required"),
    ],
)
def test_arguments_that_cannot_be_served(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    ended = run_server("--folder", tmp_path, *arguments)
    assert ended.returncode == 2
    assert sentence in ended.stderr


def test_a_port_serves_the_same(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(index_command("--port", port, "--folder", tmp_path), cwd=ROOT)
    try:
        index = QdrantIndex(f"http://127.0.0.1:{port}", DIMENSION)
        _retry(index.ensure)
        point = make_point(uuid4())
        index.upsert([point])
        assert index.count(point.tenant, point.version) == 1
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0


def _retry(act: Callable[[], None]) -> None:
    for _ in range(200):
        try:
            act()
        except IndexUnavailable:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the index was not ready within 10 s")


def test_only_the_owner_reaches_the_socket_and_the_folder(server: IndexProcess) -> None:
    assert stat.S_IMODE(server.uds.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


def test_it_starts_without_the_web_framework_and_the_models() -> None:
    heavy = "{'django', 'torch', 'qdrant_client', 'celery', 'muniment'} & set(sys.modules)"
    code = f"import sys, workers.engines.index_server; print(sorted({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_health_answers_while_points_are_written(server: IndexProcess) -> None:
    index = QdrantIndex(server.url, DIMENSION, prefix="busy")
    index.ensure()
    ended = threading.Event()

    def write() -> None:
        while not ended.is_set():
            index.upsert([make_point(uuid4(), "lamp " * 50) for _ in range(256)])

    writer = threading.Thread(target=write)
    writer.start()
    with server.http as http:
        slowest = max(_seconds(http, "/healthz") for _ in range(40))
    ended.set()
    writer.join()
    index.close()
    assert slowest < 2


def _seconds(http: httpx.Client, path: str) -> float:
    started = time.monotonic()
    assert http.get(path).status_code == 200
    time.sleep(0.02)
    return time.monotonic() - started


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/collections"),
        ("POST", "/collections/raw/points/search"),
        ("GET", "/collections/raw/snapshots"),
        ("POST", "/logger"),
        ("GET", "/telemetry"),
    ],
)
def test_other_routes_are_refused(http: httpx.Client, method: str, path: str) -> None:
    response = http.request(method, path)
    assert response.status_code in (404, 405)
    assert path in refused(response, response.status_code)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/collections/raw/points?wait=false", {"points": []}),
        ("PUT", "/collections/raw/points?ordering=weak", {"points": []}),
        ("POST", f"{BATCH}?consistency=all", {"searches": [NEAREST]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "score_threshold": 0.5}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "filter": None}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "filter": {}}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "filter": {"must": []}}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "filter": {**FILTER, "should": []}}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "query": {"nearest": [1.0]}}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "using": "other"}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "limit": 0}]}),
        ("POST", BATCH, {"searches": [{**NEAREST, "with_vector": True}]}),
        ("POST", BATCH, {"searches": [{"query": {"rrf": {"k": 60}}, "limit": 3}]}),
        ("POST", BATCH, {"searches": []}),
        ("POST", BATCH, {"searches": [{**NEAREST, "prefetch": [{**NEAREST, "filter": None}]}]}),
        ("POST", "/collections/raw/points/delete", {"points": [1]}),
        ("POST", "/collections/raw/points/delete", {"filter": {"must": [], "must_not": []}}),
        ("POST", "/collections/raw/points/count", {"filter": {"must_not": FILTER["must"]}}),
        ("POST", BATCH, {"searches": [{**NEAREST, "filter": {"must_not": FILTER["must"]}}]}),
        ("POST", "/collections/raw/points/count", {"filter": {"must": [{"key": "tenant"}]}}),
        ("POST", "/collections/raw/points/count", {"filter": FILTER, "exact": False}),
        ("PUT", "/collections/..%2Fescape", COLLECTION),
        ("PUT", "/collections/other", {**COLLECTION, "quantization_config": {}}),
        ("PUT", "/collections/other", {**COLLECTION, "hnsw_config": {"m": 16}}),
    ],
)
def test_what_would_be_ignored_is_refused(http: httpx.Client, method: str, path: str, body: Any) -> None:
    response = http.request(method, path, json=body)
    refused(response, 404 if "%2F" in path else 400)


def test_sparse_vectors_have_each_index_once(http: httpx.Client) -> None:
    vector = {"dense": direction(0), "words": {"indices": [3, 3], "values": [1.0, 2.0]}}
    point = {"id": str(uuid4()), "vector": vector, "payload": {"tenant": "t"}}
    refused(http.put("/collections/raw/points?wait=true", json={"points": [point]}), 400)
    assert http.post("/collections/raw/points/count", json={"filter": FILTER}).json()["result"] == {
        "count": 0
    }


def test_broken_and_endless_bodies_are_refused(http: httpx.Client) -> None:
    refused(http.put("/collections/raw/points", content=b'{"points": ['), 400)
    refused(http.put("/collections/raw/points", content=(b" " * 2**20 for _ in range(65))), 413)


def test_a_missing_collection_is_404_and_a_second_creation_409(http: httpx.Client) -> None:
    assert "nowhere" in refused(http.post("/collections/nowhere/points/count", json={"filter": FILTER}), 404)
    refused(http.put("/collections/raw", json=COLLECTION), 409)
