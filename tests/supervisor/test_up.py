"""`manage.py up`: the real parts that need no model, in processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from tests.supervisor.conftest import ROOT, eventually

COMMAND = [sys.executable, str(ROOT / "manage.py"), "up"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "MUNIMENT_DATA": str(tmp_path / "data"),
        "MUNIMENT_RUN": str(tmp_path / "run"),
        "MUNIMENT_MODELS": str(tmp_path / "models"),
    }


@pytest.fixture
def broker(environment: dict[str, str], tmp_path: Path) -> Iterator[redis.Redis]:
    child = subprocess.Popen([*COMMAND, "valkey"], env=environment, stdout=subprocess.DEVNULL)
    path = tmp_path / "run" / "valkey.sock"
    eventually(path.exists)
    yield redis.Redis(unix_socket_path=str(path))
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=20) == 0
    assert not path.exists()


def test_one_part_runs_alone_as_in_a_container(broker: redis.Redis, tmp_path: Path) -> None:
    assert eventually(broker.ping)
    assert broker.config_get("appendonly")["appendonly"] == "yes"
    assert broker.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    assert broker.config_get("port")["port"] == "0"
    assert oct((tmp_path / "run").stat().st_mode)[-3:] == "700"


def test_the_broker_is_reached_by_its_owner_s_socket_alone(broker: redis.Redis, tmp_path: Path) -> None:
    server = psutil.Process(eventually(broker.info)["process_id"])
    assert server.net_connections("inet") == []
    assert oct((tmp_path / "run" / "valkey.sock").stat().st_mode)[-3:] == "700"
    for closed in ("enable-debug-command", "enable-module-command", "enable-protected-configs"):
        assert broker.config_get(closed)[closed] == "no"
    for command in ("DEBUG SLEEP 0", "MODULE LOAD /tmp/x.so", "CONFIG SET dir /tmp"):
        with pytest.raises(redis.ResponseError):
            broker.execute_command(*command.split())


def test_the_broker_comes_back_with_what_it_was_told(broker: redis.Redis) -> None:
    broker.set("kept", "yes")
    broker.waitaof(1, 0, 5000)
    first = broker.info()["process_id"]
    os.kill(first, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return bool(broker.info()["process_id"] != first)
        except redis.ConnectionError:
            return False

    eventually(is_back)
    assert broker.get("kept") == b"yes"


def _refusal(environment: dict[str, str], *names: str) -> str:
    done = subprocess.run(
        [*COMMAND, *names], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_without_its_model_nothing_starts(environment: dict[str, str]) -> None:
    assert "is not there: `manage.py models get" in _refusal(environment)


def test_an_unknown_part_is_told_with_the_known_ones(environment: dict[str, str]) -> None:
    assert "There are: valkey, index, engine, web, ingest, answer, upkeep, sequencer." in _refusal(
        environment, "wbe"
    )


def test_a_port_in_use_is_told(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment["MUNIMENT_PORT"] = str(taken.getsockname()[1])
        assert "is in use by another program" in _refusal(environment, "web")
