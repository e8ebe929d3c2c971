"""The tripwire: who may be called, what is refused, and the event it leaves."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from muniment.audit import egress
from muniment.audit.models import AuditPrivate
from muniment.audit.services import SITE
from tests.house import events
from tests.planted import PUBLIC


@pytest.fixture(autouse=True)
def attempts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What is waiting to be recorded; nothing is written by itself meanwhile."""
    monkeypatch.setattr(egress, "_record_soon", lambda: None)
    egress._attempts.clear()
    yield egress._attempts
    egress._attempts.clear()


def udp() -> socket.socket:
    return socket.socket(type=socket.SOCK_DGRAM)


ATTEMPTS = {
    "connect": lambda: socket.socket().connect((PUBLIC, 443)),
    "connection": lambda: socket.create_connection((PUBLIC, 443), timeout=1),
    "connect_ex": lambda: socket.socket().connect_ex((PUBLIC, 443)),
    "version 6": lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::7", 443)),
    "in version 6's clothes": lambda: socket.socket(socket.AF_INET6).connect((f"::ffff:{PUBLIC}", 443)),
    "as a number": lambda: socket.socket().connect((str(int.from_bytes(socket.inet_aton(PUBLIC))), 443)),
    "datagram": lambda: udp().sendto(b"?", (PUBLIC, 53)),
    "message": lambda: udp().sendmsg([b"?"], [], 0, (PUBLIC, 53)),
    "name": lambda: socket.getaddrinfo("planted.example", 443),
    "old name": lambda: socket.gethostbyname("planted.example"),
    "name in bytes": lambda: socket.getaddrinfo(b"planted.example", 443),
    "whose address": lambda: socket.gethostbyaddr(PUBLIC),
    "whose port": lambda: socket.getnameinfo((PUBLIC, 443), 0),
    "event loop": lambda: asyncio.run(asyncio.wait_for(asyncio.open_connection(PUBLIC, 443), 2)),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_is_refused_with_a_sentence(name: str) -> None:
    with pytest.raises(egress.EgressBlocked, match="is none of its peers"):
        ATTEMPTS[name]()


def test_this_machine_may_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0"):
            socket.create_connection((host, port), timeout=2).close()
    assert socket.getaddrinfo(None, 80)
    assert socket.getaddrinfo(PUBLIC, 80)  # asks nobody
    one, other = socket.socketpair()
    one.close()
    other.close()


def test_peers_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert egress.peers() == {}
    site = SimpleNamespace(
        INDEX_URL="http://qdrant:6333",
        ENGINE_URL="https://10.1.2.3/v1",
        MODEL_URL="http://vllm:8000",
        BROKER_URL="rediss://:hush@valkey.internal:6380/0",
        HOST="0.0.0.0",
        DATABASES={"default": {"HOST": "db1,db2"}, "other": {"HOST": "/run/postgresql"}},
    )
    monkeypatch.setattr(egress, "settings", site)
    assert egress.peers() == {
        "index": "qdrant",
        "engine": "10.1.2.3",
        "model": "vllm",
        "broker": "valkey.internal",
        "database default": "db1",
        "database default 2": "db2",
    }


def test_a_peer_may_be_reached_by_name_and_by_what_the_name_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_resolved", lambda name, minute: {egress._ip("10.1.2.3")})
    hosts = frozenset({"qdrant"})
    assert egress._may_reach(hosts, "qdrant") and egress._may_reach(hosts, "10.1.2.3")
    assert not egress._may_reach(hosts, "10.1.2.4") and not egress._may_reach(hosts, "qdrant.example")


def test_a_blocked_attempt_leaves_an_event_and_equal_ones_one_together(db: None) -> None:
    for _try in range(3):
        with pytest.raises(egress.EgressBlocked):
            ATTEMPTS["name"]()
    with pytest.raises(egress.EgressBlocked):
        ATTEMPTS["connect"]()
    assert egress.record_attempts() == 2
    found = events("egress.blocked")
    assert [event["outcome"] for event in found] == ["denied", "denied"]
    assert {event["tenant"] for event in found} == {str(SITE)}
    names = {"kind": "getaddrinfo", "port": 443, "process": "command", "times": 3}
    address = {"kind": "connect", "port": 443, "process": "command", "times": 1}
    assert [event["details"] for event in found] == [names, address]
    assert sorted(AuditPrivate.objects.values_list("value", flat=True)) == [PUBLIC, "planted.example"]


def test_the_event_is_written_outside_the_transaction_that_was_open(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a thread of its own, which a rollback does not reach."""
    monkeypatch.undo()
    monkeypatch.setattr(egress, "COLLECT_SECONDS", 0.05)
    from django.db import transaction

    with pytest.raises(egress.EgressBlocked), transaction.atomic():
        ATTEMPTS["connect"]()
    assert egress._recorder is not None
    egress._recorder.join(timeout=30)
    assert len(events("egress.blocked")) == 1


def test_what_cannot_be_written_is_kept(db: None, monkeypatch: pytest.MonkeyPatch, attempts: Any) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no database")

    with pytest.raises(egress.EgressBlocked):
        ATTEMPTS["connect"]()
    with monkeypatch.context() as patch:
        patch.setattr(egress, "record_alone", broken)
        assert egress.record_attempts() == 0
    assert len(attempts) == 1
    assert egress.record_attempts() == 1
