"""Two of each part share the work; one of each dies, and none of its work is lost or done twice."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from django.conf import settings

from tests.faults.look import eventually, long_text
from tests.running_site import COPY_PORT, NAME, RunningSite

COPIES = ("web", "ingest", "answer", "upkeep")
# From a host's death to another's work on what it held.
TAKEN_UP_SECONDS = 30.0
DONE = {"answered", "weak", "not_in_documents"}


@dataclass
class Two:
    """A site with two of each part; `first` and `second` are one signed-in person through either web."""

    site: RunningSite
    first: httpx.Client
    second: httpx.Client
    library: str
    database: psycopg.Connection

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        return self.database.execute(statement, values).fetchall()

    def upload(self, client: httpx.Client, passages: int) -> str:
        """The id of a fresh document's version."""
        content = long_text(uuid4().int, passages)
        headers = {"X-CSRFToken": client.cookies["muniment-csrf"], "Referer": str(client.base_url)}
        headers |= {"Accept": "application/json"}
        announced = {"name": f"{uuid4()}.txt", "size": len(content), "library": self.library}
        begun = client.post("/uploads", json=announced, headers=headers)
        assert begun.status_code == 201, begun.text
        part = headers | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        document = client.patch(begun.json()["url"], content=content, headers=part).json()["document"]
        (row,) = self.rows("SELECT id FROM documents_version WHERE document_id = %s", document)
        return str(row[0])

    def ask(self, client: httpx.Client, question: str) -> str:
        asked = self.site.post(client, "/ask", question=question)
        return re.findall(r"turn-([0-9a-f-]{36})", asked.text)[-1]

    def machines(self, subjects: list[str]) -> set[str]:
        """Where these works are done, or were done last; "" for nowhere yet."""
        owners = self.rows("SELECT lease_owner FROM jobs_job WHERE subject = ANY(%s::uuid[])", subjects)
        return {owner.split(":")[0] for (owner,) in owners}

    def is_held(self, subject: str) -> bool:
        return bool(self.rows("SELECT 1 FROM jobs_job WHERE subject = %s AND state = 'running'", subject))

    def published_once(self, versions: list[str]) -> None:
        states = "SELECT DISTINCT state FROM documents_version WHERE id = ANY(%s::uuid[])"
        eventually(lambda: set(self.rows(states, versions)) <= {("published",), ("failed",)})
        assert self.rows(states, versions) == [("published",)]
        found = self.rows(
            "SELECT passage_count, (SELECT count(*) FROM documents_passage p WHERE p.version_id = v.id),"
            " (SELECT count(*) FROM audit_event WHERE action = 'document.published'"
            " AND object_ref = v.document_id::text) FROM documents_version v WHERE id = ANY(%s::uuid[])",
            versions,
        )
        assert all(passages == stored and events == 1 for passages, stored, events in found)

    def answered_once(self, turns: list[str]) -> None:
        states = "SELECT DISTINCT state FROM conversations_turn WHERE id = ANY(%s::uuid[])"
        eventually(lambda: {state for (state,) in self.rows(states, turns)} <= DONE)
        finished = (
            "SELECT count(*) FROM audit_event WHERE action = 'answer.finished' AND object_ref = ANY(%s)"
        )
        assert self.rows(finished, turns) == [(len(turns),)]


@pytest.fixture(scope="module")
def two(site: RunningSite) -> Iterator[Two]:
    copies = [site.start_copy(name) for name in COPIES]
    proxy = site.start_proxy("second-proxy", COPY_PORT)
    try:
        site.wait_until_ready()
        site.wait_for(proxy)
        with closing(site.client("staff")) as first:
            second = httpx.Client(
                base_url=f"https://{NAME}:{proxy.https}",
                verify=proxy.trusted(),
                cookies=first.cookies,
                follow_redirects=True,
                timeout=60,
            )
            page = first.get("/libraries/handbook/").text
            library = re.search(r'data-library="([0-9a-f-]{36})"', page)
            assert library, page
            place = {"host": str(site.cluster.folder), "user": "postgres", "dbname": "muniment"}
            with closing(second), psycopg.connect(**place, autocommit=True) as database:
                yield Two(site, first, second, library[1], database)
    finally:
        for copy in copies:
            if copy in site.parts:
                site.kill_part(copy)
        proxy.stop()


def test_a_session_of_one_web_is_valid_at_the_other(two: Two) -> None:
    assert two.second.get("/profile").url.path == "/profile"
    assert two.second.get("/libraries/handbook/").status_code == 200


def test_both_ingest_and_both_answer(two: Two) -> None:
    versions = [two.upload(client, 40) for client in (two.first, two.second) * 3]
    turns = [two.ask(client, "What is done with a lost laptop?") for client in (two.first, two.second) * 2]
    two.published_once(versions)
    two.answered_once(turns)
    assert len(two.machines(versions)) == 2
    assert len(two.machines(turns)) == 2


def told(client: httpx.Client, turn: str, last: str = "") -> Iterator[tuple[str, str]]:
    """Id and name of a turn's events from the one after `last`, as they come; the id is "" for some."""
    headers = {"Last-Event-ID": last} if last else {}
    with client.stream("GET", f"/turns/{turn}/events", headers=headers) as stream:
        at = ""
        for line in stream.iter_lines():
            if line.startswith("id: "):
                at = line.removeprefix("id: ")
            if line.startswith("event: "):
                yield at, line.removeprefix("event: ")
                at = ""
            if line == "event: done":
                return


def goes_on(client: httpx.Client, turn: str, heard: list[tuple[str, str]]) -> None:
    """What another web tells after these events: the rest until the end, and nothing again."""
    ids = [at for at, _name in heard if at]
    rest = list(told(client, turn, ids[-1] if ids else ""))
    assert rest[-1][1] == "done"
    assert not {at for at, _name in rest if at} & set(ids)


def test_a_stream_begun_at_one_web_goes_on_at_the_other(two: Two) -> None:
    turn = two.ask(two.first, "How long are reports kept?")
    heard = []
    with closing(told(two.first, turn)) as events:
        for event in events:
            heard.append(event)
            if event[1] == "token":
                break
    assert heard[-1][1] == "token"
    goes_on(two.second, turn, heard)


def test_workers_on_one_host_have_names_of_their_own(two: Two) -> None:
    logs = [two.site.log_of(name).read_text() for name in ("ingest", "ingest-2")]
    names = {name for log in logs for name in re.findall(r"(ingest-\w+@\S+) ready", log)}
    assert len(names) == 2
    assert not any("DuplicateNodename" in log for log in logs)


def test_one_of_each_dies_at_work_and_others_take_it_up(two: Two) -> None:
    since, before = time.monotonic(), rung(two)
    versions, ingest = given_to(two, "ingest-2", lambda: two.upload(two.second, 150))
    two.site.kill_part("ingest-2")
    assert two.is_held(versions[-1])
    turns, answer = given_to(two, "answer-2", lambda: two.ask(two.second, "How long must a password be?"))
    heard: list[tuple[str, str]] = []
    listener = threading.Thread(target=listen, args=(two.second, turns[-1], heard))
    listener.start()
    two.site.kill_part("answer-2")
    assert two.is_held(turns[-1])
    eventually(lambda: heard)
    two.site.kill_part("web-2")
    for subject, dead in ((versions[-1], ingest), (turns[-1], answer)):
        eventually(lambda subject=subject, dead=dead: two.machines([subject]) != {dead}, TAKEN_UP_SECONDS)
    listener.join(20)
    goes_on(two.first, turns[-1], heard)
    two.published_once(versions)
    two.answered_once(turns)
    # Two clocks ring as often as one.
    assert 1 <= rung(two) - before <= (time.monotonic() - since) / settings.SWEEP_SECONDS + 1


def rung(two: Two) -> int:
    logs = [two.site.log_of(name).read_text() for name in ("upkeep", "upkeep-2")]
    return sum(log.count("Sending due task sweep") for log in logs)


def given_to(two: Two, name: str, begin: Callable[[], str]) -> tuple[list[str], str]:
    """Begin works until this part has one while nobody else is busy; with it the part's machine."""
    machine, begun = two.site.machine_of(name), []
    while True:
        begun.append(begin())
        eventually(lambda: two.machines(begun[-1:]) != {""}, pause=0.02)
        if two.machines(begun[-1:]) == {machine} and two.is_held(begun[-1]):
            return begun, machine
        eventually(lambda: not two.is_held(begun[-1]))


def listen(client: httpx.Client, turn: str, heard: list[tuple[str, str]]) -> None:
    with suppress(httpx.HTTPError):  # its web dies
        for event in told(client, turn):
            heard.append(event)
