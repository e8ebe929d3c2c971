"""The broker of a site: the real server with the very files of its image."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psutil
import pytest
import redis

from muniment.jobs import broker, doorbell, replies, streams
from tests import valkey
from tests.running import free_port
from tests.supervisor.conftest import eventually
from workers import preflight

ROOT = Path(__file__).resolve().parents[2]
WEB, WORKER = "web-secret-of-the-test-0123456789", "worker-secret-of-the-test-0123456"
NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Server:
    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, user: str | None = None, password: str | None = None) -> redis.Redis:
        return redis.Redis.from_url(self.url, username=user, password=password, decode_responses=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("valkey")
    (folder / "secrets").mkdir()
    (folder / "secrets" / "broker_web_password").write_text(f"{WEB}\n")
    (folder / "secrets" / "broker_worker_password").write_text(f"{WORKER}\n")
    port = free_port()
    process = valkey.start(folder, port=port)
    running = Server(port, folder, process)

    def answers() -> bool:
        try:
            return bool(running.client("web", WEB).ping())
        except redis.ConnectionError:
            return False

    try:
        eventually(answers)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


@pytest.fixture
def as_web(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is the web process of a site."""
    from django.conf import settings

    monkeypatch.setattr(settings, "BROKER_URL", server.url)
    monkeypatch.setattr(settings, "BROKER_USER", "web")
    monkeypatch.setattr(settings, "BROKER_PASSWORD", WEB)
    cached: tuple[Callable[[], object], ...] = (broker.client, doorbell._celery)
    for function in cached:
        function.cache_clear()  # type: ignore[attr-defined]
    yield
    for function in cached:
        function.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def worker(server: Server) -> Iterator[Path]:
    """A worker of a site, with beat; gives its log."""
    data = server.folder / "data"
    data.mkdir(exist_ok=True)
    (server.folder / "run").mkdir(exist_ok=True)
    site = {
        "MUNIMENT_DATA": str(data),
        "MUNIMENT_RUN": str(server.folder / "run"),
        "MUNIMENT_BROKER_URL": server.url,
        "MUNIMENT_BROKER_USER": "worker",
        "MUNIMENT_BROKER_PASSWORD_FILE": str(server.folder / "secrets" / "broker_worker_password"),
        "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}",
    }
    log = server.folder / "worker.log"
    options = [
        "--loglevel=INFO",
        "--pool=threads",
        "--concurrency=2",
        "--without-mingle",
        "--without-gossip",
        "-B",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "celery",
                "-A",
                "tests.deploy.broker_app",
                "worker",
                "-Q",
                "answer",
                *options,
            ],
            cwd=ROOT,
            env={**os.environ, **site},
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "ready." in log.read_text() or process.poll() is not None, seconds=60)
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_task_is_sent_by_the_web_and_answered_by_a_worker(as_web: None, worker: Path) -> None:
    assert replies.ask("test.echo", "answer", {"text": "Who may see this?"}, timeout=20) == {
        "answer": '{"text": "Who may see this?"}'
    }
    key = streams.turn_key(NOBODY, NOBODY)
    assert streams.tail(key)[-1].event == "said"
    # In a thread of its own: this one may have a loop running, a browser's.
    with ThreadPoolExecutor(1) as apart:
        assert apart.submit(asyncio.run, _first_of(key)).result() == "said"
    assert doorbell.unheard("answer") == 0


async def _first_of(key: str) -> str:
    follower = streams.follow(key, "0-0", wait_ms=1000)
    try:
        entry = await anext(follower)
        return entry.event if entry else ""
    finally:
        await follower.aclose()


def test_a_worker_is_denied_nothing_that_it_does(as_web: None, server: Server, worker: Path) -> None:
    assert replies.ask("test.echo", "answer", {}, timeout=20)
    # Beat rings for the sweeper at once, and nobody here hears it.
    eventually(lambda: server.client("worker", WORKER).llen("upkeep"), seconds=30)
    log = worker.read_text()
    assert "NOPERM" not in log
    assert "NOAUTH" not in log
    assert "Error" not in log


def test_a_worker_may_lock_what_it_gives_back(server: Server) -> None:
    """Celery's lock is released by a script, so scripts cannot be denied to workers."""
    with server.client("worker", WORKER).lock("unacked_mutex", timeout=5):
        pass


def test_no_password_is_in_a_log_or_in_the_list_of_processes(server: Server, worker: Path) -> None:
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    for secret in (WEB, WORKER):
        assert secret not in worker.read_text()
        assert not any(secret in word for command in commands for word in command)
        assert secret not in (server.folder / "users.acl").read_text()
    assert oct((server.folder / "users.acl").stat().st_mode)[-3:] == "600"


def test_who_gives_no_password_is_refused(server: Server) -> None:
    with pytest.raises(redis.AuthenticationError):
        server.client().ping()


@pytest.mark.parametrize(
    ("user", "password"), [("web", WORKER), ("default", WEB), ("default", ""), ("web", "")]
)
def test_who_gives_another_password_is_refused(server: Server, user: str, password: str) -> None:
    with pytest.raises(redis.AuthenticationError):
        server.client(user, password).ping()


@pytest.mark.parametrize(
    "command",
    [
        "CONFIG GET *",
        "CONFIG SET dir /",
        "FLUSHALL",
        "FLUSHDB",
        "SWAPDB 0 1",
        "KEYS *",
        "SCAN 0",
        "SHUTDOWN NOSAVE",
        "ACL LIST",
        "MODULE LIST",
        "SAVE",
        "BGREWRITEAOF",
        "REPLICAOF 127.0.0.1 1",
        "MIGRATE 127.0.0.1 1 key 0 1",
        "RESTORE reply:x 0 x",
        "CLIENT LIST",
        "CLIENT KILL TYPE normal",
        "MONITOR",
        "SCRIPT FLUSH",
        "FUNCTION LIST",
        "GET secret",
        "SET secret 1",
        "DEL secret",
    ],
)
@pytest.mark.parametrize(("user", "password"), [("web", WEB), ("worker", WORKER)])
def test_nobody_may(server: Server, user: str, password: str, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        server.client(user, password).execute_command(*command.split())


@pytest.mark.parametrize(
    "command",
    ["EVAL return(1) 0", "INFO", "PUBLISH /0.celery.pidbox x", "HGETALL unacked", "LPUSH unacked x"],
)
def test_the_web_may_not_order_workers_about(server: Server, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        server.client("web", WEB).execute_command(*command.split())


def test_the_broker_keeps_what_it_was_told_and_drops_nothing(server: Server) -> None:
    facts = server.client("worker", WORKER).info()
    assert facts["maxmemory_policy"] == "noeviction"
    assert facts["aof_enabled"] == 1
    assert facts["maxmemory"] == 512 * 1024 * 1024


def test_a_missing_secret_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    done = subprocess.run(
        [str(valkey.FILES / "start.sh")],
        env=valkey.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "The secret broker_web_password is missing or empty: run make site-secrets, then start again.\n"
    )


def test_its_health_is_asked_as_the_container_does(server: Server) -> None:
    well = [str(valkey.FILES / "healthy.sh")]
    assert (
        subprocess.run(well, env=valkey.environment(server.folder, server.port), check=False).returncode == 0
    )
    elsewhere = valkey.environment(server.folder, 1)
    assert subprocess.run(well, env=elsewhere, capture_output=True, check=False).returncode != 0


def test_a_part_that_starts_finds_nothing_wrong_with_it(as_web: None, worker: Path) -> None:
    assert preflight.broker_door_fault() == ""
    assert preflight.broker_fault() == ""
