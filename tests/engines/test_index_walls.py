"""What the embedded index cannot do, whatever is in its library."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests import planted
from tests.engines.index_process import DIMENSION, IndexProcess, make_point
from workers.engines.index import QdrantIndex


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The planted attempts, made when the index has been written to and was started again."""
    folder = tmp_path_factory.mktemp("walled")
    (folder / "original").write_text("Another room's file.")
    server = IndexProcess(folder / "index", folder / "index.sock", module="tests.engines.planted_index")
    tenant = uuid4()
    server.start()
    QdrantIndex(server.url, DIMENSION).ensure()
    QdrantIndex(server.url, DIMENSION).upsert([make_point(tenant, version=tenant)])
    assert server.stop() == 0
    server.start()
    try:
        assert QdrantIndex(server.url, DIMENSION).count(tenant, tenant) == 1
        with server.http as http:
            return dict(http.get("/planted", params={"folder": str(folder)}).json())
    finally:
        server.stop()


def test_the_index_opens_no_socket_of_its_own(tried: dict[str, Any]) -> None:
    attempts = {name: tried[name] for name in planted.SOCKETS}
    assert set(attempts.values()) == {"EPERM"}, attempts


@pytest.mark.parametrize("attempt", ["new file", "original", "program"])
def test_the_index_touches_nothing_but_its_own_folder(tried: dict[str, Any], attempt: str) -> None:
    assert tried[attempt] == "EACCES"


def test_the_index_writes_in_its_own_folder(tried: dict[str, Any]) -> None:
    assert tried["own file"] == "done"


def test_the_index_lives_in_a_network_of_its_own(tried: dict[str, Any]) -> None:
    assert tried["network"] != planted.network()


def test_the_walls_hold_in_a_process_with_threads(tried: dict[str, Any]) -> None:
    assert tried["threads"] > 1
