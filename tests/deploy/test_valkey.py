"""The broker of a site: the real server with the very files of its image."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

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


@dataclass(frozen=True)
class Worker:
    process: subprocess.Popen[bytes]
    log: Path


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
def worker(server: Server) -> Iterator[Worker]:
    """A worker of a site, with beat."""
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
        yield Worker(process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_a_task_is_sent_by_the_web_and_answered_by_a_worker(as_web: None, worker: Worker) -> None:
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


def test_a_worker_is_denied_nothing_that_it_does(as_web: None, server: Server, worker: Worker) -> None:
    assert replies.ask("test.echo", "answer", {}, timeout=20)
    # Beat rings for the sweeper at once, and nobody here hears it.
    eventually(lambda: server.client("worker", WORKER).llen("upkeep"), seconds=30)
    log = worker.log.read_text()
    assert "NOPERM" not in log
    assert "NOAUTH" not in log
    assert "Error" not in log


def test_a_worker_may_lock_what_it_gives_back(server: Server) -> None:
    """Celery's lock is released by a script, so scripts cannot be denied to workers."""
    with server.client("worker", WORKER).lock("unacked_mutex", timeout=5):
        pass


class Trap:
    """Leaves a file where somebody unpickles it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.file,)


def message(body: bytes, kind: str = "application/json", **headers: object) -> str:
    """As Celery puts a task into a queue; `headers` instead of those of a task that echoes."""
    task = {
        "lang": "py",
        "task": "test.echo",
        "id": str(uuid4()),
        "argsrepr": "",
        "kwargsrepr": "",
        **headers,
    }
    delivery = {"exchange": "", "routing_key": "answer"}
    properties = {"delivery_info": delivery, "delivery_tag": str(uuid4()), "body_encoding": "base64"}
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "binary" if "json" not in kind else "utf-8",
            "content-type": kind,
            "headers": task,
            "properties": properties | {"correlation_id": task["id"]},
        }
    )


CALL = json.dumps([["key", "question"], {}, {}]).encode()
HOSTILE: dict[str, Callable[[Path], str]] = {
    "pickle": lambda file: message(pickle.dumps([[Trap(file)], {}, {}]), "application/x-python-serialize"),
    "pickle called json": lambda file: message(pickle.dumps([[Trap(file)], {}, {}])),
    "pickle of another name": lambda file: message(pickle.dumps(Trap(file)), "application/data"),
    "yaml": lambda file: message(
        f"!!python/object/apply:os.system ['touch {file}']".encode(), "application/x-yaml"
    ),
    "msgpack": lambda file: message(b"\x93\x90\x80\x80", "application/x-msgpack"),
    "unknown kind": lambda file: message(CALL, "application/x-nothing"),
    "no task of ours": lambda file: message(CALL, task="os.system"),
    "a task that is none": lambda file: message(CALL, task=["test.echo"]),
    "no task": lambda file: message(CALL, task=None),
    "no arguments": lambda file: message(b"null"),
    "wrong arguments": lambda file: message(b'[{"key": 1}, [], 7]'),
    "no json": lambda file: message(b"{"),
    "deep json": lambda file: message(b"[" * 200_000),
    "huge": lambda file: message(b'[["' + b"x" * 5_000_000 + b'"], {}, {}]'),
    "not base64": lambda file: message(CALL).replace(base64.b64encode(CALL).decode(), "\u20ac%%%"),
    "bad time": lambda file: message(CALL, eta="never", expires="ever"),
    "bad limits": lambda file: message(CALL, timelimit=["a", {}], retries="many"),
    "bad lineage": lambda file: message(CALL, root_id={}, parent_id=[], group=7, origin=None),
    "a callback": lambda file: message(
        json.dumps(
            [["key", "question"], {}, {"callbacks": [{"task": "os.system", "args": [f"touch {file}"]}]}]
        ).encode()
    ),
    "no properties": lambda file: json.dumps({"body": "", "headers": {}, "properties": {}}),
    "no message": lambda file: '{"body": 1}',
    "no object": lambda file: "[]",
    "no json at all": lambda file: pickle.dumps(Trap(file), 0).decode(),
    "nothing": lambda file: "",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_message_that_is_none_of_ours_is_dropped_and_the_next_is_heard(
    kind: str, as_web: None, server: Server, worker: Worker, tmp_path: Path
) -> None:
    """Whoever reaches the broker as the web does can run nothing that is no task of ours."""
    trap = tmp_path / "trap"
    server.client("web", WEB).lpush("answer", HOSTILE[kind](trap))
    assert replies.ask("test.echo", "answer", {"text": kind}, timeout=30)
    assert worker.process.poll() is None
    assert not trap.exists()
    assert server.client("worker", WORKER).llen("answer") == 0


def test_the_trap_would_work(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "trap")))  # noqa: S301 - our own
    assert (tmp_path / "trap").exists()


def test_no_password_is_in_a_log_or_in_the_list_of_processes(server: Server, worker: Worker) -> None:
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    for secret in (WEB, WORKER):
        assert secret not in worker.log.read_text()
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
        "FUNCTION LOAD x",
        "FCALL x 0",
        "SLAVEOF NO ONE",
        "FAILOVER",
        "SYNC",
        "PSYNC ? -1",
        "CLUSTER NODES",
        "SLOWLOG GET",
        "LATENCY RESET",
        "CLIENT PAUSE 1",
        "CLIENT UNBLOCK 1",
        "ACL SETUSER web +@all",
        "ACL WHOAMI",
        "BGSAVE",
        "LASTSAVE",
        "PFDEBUG TODENSE x",
        "OBJECT FREQ secret",
        "SUBSCRIBE news",
        "PSUBSCRIBE *",
        "PUBLISH /0.celery.pidbox x",
        "PUBSUB CHANNELS",
        "SORT ingest BY nosort GET secret*",
        "SORT ingest STORE secret",
        "RENAME ingest secret",
        "COPY secret ingest",
        "XREAD STREAMS secret 0",
        "LMOVE secret ingest LEFT LEFT",
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
    [
        "EVAL return(1) 0",
        "EVALSHA 0 0",
        "SCRIPT LOAD x",
        "INFO",
        "TIME",
        "HGETALL unacked",
        "LPUSH unacked x",
    ],
)
def test_the_web_may_not_order_workers_about(server: Server, command: str) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        server.client("web", WEB).execute_command(*command.split())


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call('GET', 'secret')",
        "return redis.call('CONFIG', 'GET', '*')",
        "return redis.call('FLUSHALL')",
        "return redis.call('ACL', 'LIST')",
        "return os.execute('true')",
        "return io.open('/etc/passwd')",
        "return loadfile('/etc/passwd')",
        "return require('os')",
    ],
)
def test_a_script_may_no_more_than_the_worker_who_sent_it(server: Server, script: str) -> None:
    with pytest.raises(redis.exceptions.ResponseError, match=r"permission|not allowed|nonexistent|nil value"):
        server.client("worker", WORKER).eval(script, 0)


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
