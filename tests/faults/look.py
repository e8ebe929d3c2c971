"""Uploading to a running installation, and looking past its pages at what it wrote down."""

from __future__ import annotations

import contextlib
import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from uuid import UUID

import httpx
import psutil

from tests.running import RunningHouse
from workers.engines import IndexUnavailable
from workers.engines.index import QdrantIndex

CHUNK = 4 * 1024 * 1024
# A killed worker starts again, loads its model, hears the next sweep and does the work, on a busy machine.
RECOVERY = 120.0
DIMENSION = 384

T = TypeVar("T")


def eventually(look: Callable[[], T], seconds: float = RECOVERY, pause: float = 0.05) -> T:
    """The first true value; fails with the last one after `seconds`."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"still {found!r} after {seconds} s"
        time.sleep(pause)
    return found


def long_text(seed: int, passages: int) -> bytes:
    """Made-up words that come to about so many passages."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("abdegiklmnorstu", k=rng.randint(3, 8))) for _ in range(2000)]
    sections = (" ".join(rng.choices(words, k=31)) for _ in range(passages))
    return "\n\n".join(sections).encode()


def slow_to_read(seed: int = 0) -> bytes:
    """A table that takes its reader some seconds and comes to one passage."""
    return b",,\n" * 2_000_000 + b"Room %d,is locked,at night\n" % seed


class Site:
    """A running installation as its administrator and its operating system see it."""

    def __init__(self, house: RunningHouse) -> None:
        self.house = house
        self.client = house.client("admin")
        self.slug, self.library = self._library()

    def _library(self) -> tuple[str, str]:
        (row,) = self.rows("SELECT slug, id FROM tenancy_library LIMIT 1")
        return row["slug"], str(UUID(row["id"]))

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        with self.database() as connection:
            return connection.execute(sql, values).fetchall()

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        path = self.house.data / "muniment.sqlite3"
        connection = sqlite3.connect(path, timeout=20, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            yield connection
        finally:
            connection.close()

    # Through the door

    def headers(self) -> dict[str, str]:
        return {
            "X-CSRFToken": self.client.cookies["muniment-csrf"],
            "Referer": str(self.client.base_url),
            "Accept": "application/json",
        }

    def announce(self, name: str, size: int) -> httpx.Response:
        about = {"name": name, "size": size, "library": self.library}
        return self.client.post("/uploads", json=about, headers=self.headers())

    def upload(self, name: str, data: bytes) -> str:
        """The document's id."""
        begun = self.announce(name, len(data))
        assert begun.status_code == 201, begun.text
        state = begun.json()
        for at in range(0, len(data), CHUNK):
            headers = {**self.headers(), "Upload-Offset": str(at)}
            sent = self.client.patch(begun.json()["url"], content=data[at : at + CHUNK], headers=headers)
            assert sent.status_code == 200, sent.text
            state = sent.json()
        return UUID(state["document"]).hex

    def ask(self, question: str) -> str:
        """The turn's id."""
        asked = self.house.post(self.client, "/ask", question=question)
        assert asked.status_code == 200, asked.text
        turn = re.findall(r"turn-([0-9a-f-]{36})", asked.text)[-1]
        return UUID(turn).hex

    # Behind it

    def version(self, document: str) -> dict[str, Any]:
        sql = "SELECT * FROM documents_version WHERE document_id = ? ORDER BY number DESC LIMIT 1"
        return dict(self.rows(sql, document)[0])

    def turn(self, turn: str) -> dict[str, Any]:
        return dict(self.rows("SELECT * FROM conversations_turn WHERE id = ?", turn)[0])

    def is_in(self, document: str, *states: str) -> Callable[[], bool]:
        return lambda: self.version(document)["state"] in states

    def published(self, document: str, seconds: float = RECOVERY) -> None:
        eventually(self.is_in(document, "published", "failed"), seconds)
        version = self.version(document)
        assert version["state"] == "published", version["error_code"]

    def points(self, version: dict[str, Any]) -> list[str]:
        index = QdrantIndex(f"unix:{self.house.run}/index.sock", DIMENSION)
        try:
            stored = index.stored_points(UUID(version["tenant"]))
            return sorted(point.id.hex for point in stored if point.version.hex == version["id"])
        finally:
            index.close()

    def has_points(self, document: str, share: float = 0.01) -> Callable[[], bool]:
        """Whether so much of the document's passages has reached the index."""

        def look() -> bool:
            version = self.version(document)
            index = QdrantIndex(f"unix:{self.house.run}/index.sock", DIMENSION)
            try:
                found = index.count(UUID(version["tenant"]), UUID(version["id"]))
            except IndexUnavailable:
                return False
            finally:
                index.close()
            return bool(version["passage_count"]) and found >= share * version["passage_count"]

        return look

    def assert_published_once(self, document: str) -> None:
        """Every passage is there and in the index, none twice; one job and one event say so."""
        version = self.version(document)
        assert version["state"] == "published", version["error_code"]
        passages = self.rows("SELECT id, ordinal FROM documents_passage WHERE version_id = ?", version["id"])
        assert sorted(row["ordinal"] for row in passages) == list(range(version["passage_count"]))
        assert self.points(version) == sorted(row["id"] for row in passages)
        jobs = self.rows("SELECT state FROM jobs_job WHERE kind = 'ingest' AND subject = ?", version["id"])
        eventually(lambda: self._jobs(version) == ["done"], 10)
        assert len(jobs) == 1
        reference = str(UUID(document))
        sql = "SELECT action FROM audit_event WHERE object_ref = ? AND action = 'document.published'"
        assert len(self.rows(sql, reference)) == 1

    def _jobs(self, version: dict[str, Any]) -> list[str]:
        sql = "SELECT state FROM jobs_job WHERE kind = 'ingest' AND subject = ?"
        return [row["state"] for row in self.rows(sql, version["id"])]

    # Its processes

    def process(self, name: str) -> psutil.Process:
        return psutil.Process(self.house.states()[name]["pid"])

    def kill_child(self) -> None:
        """SIGKILL to the process in which ingest works, but not to the one that feeds it."""
        for child in self.process("ingest").children():
            with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie: it died a moment ago
                if "celery" in str(child.cmdline()):
                    child.kill()

    def wait_for(self, name: str, seconds: float = RECOVERY) -> None:
        eventually(lambda: self.house.states().get(name, {}).get("state") == "ready", seconds)

    def wait_for_all(self) -> None:
        for name in self.house.states():
            self.wait_for(name)
