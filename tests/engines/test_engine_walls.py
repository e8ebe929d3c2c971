"""What the engine cannot do, whatever is in the bytes of a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests import planted
from tests.engines.engine_process import EngineProcess


@pytest.fixture(scope="module")
def tried(engine_parts: list[object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The planted attempts, made while both models are loaded and the engine has answered."""
    uds = tmp_path_factory.mktemp("engine") / "engine.sock"
    server = EngineProcess(uds, engine_parts, module="tests.engines.planted_engine").start()
    try:
        assert server.ask("Say yes.")["choices"]
        with server.http() as http:
            yield http.get("/planted", params={"new": str(uds.parent / "new")}).json()
    finally:
        server.stop()


def test_the_engine_opens_no_socket_of_its_own(tried: dict[str, Any]) -> None:
    attempts = {name: tried[name] for name in planted.SOCKETS}
    assert set(attempts.values()) == {"EPERM"}, attempts


def test_the_engine_writes_no_file(tried: dict[str, Any]) -> None:
    assert tried["new file"] == "EACCES"


def test_the_engine_lives_in_a_network_of_its_own(tried: dict[str, Any]) -> None:
    assert tried["network"] != planted.network()


def test_the_walls_hold_in_a_process_with_threads(tried: dict[str, Any]) -> None:
    assert tried["threads"] > 1
