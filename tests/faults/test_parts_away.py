"""Parts that die or hang while people work: work waits and ends, pages answer, nobody waits in vain."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from uuid import UUID

import httpx
import psutil
import pytest
import redis

from tests.faults.look import CHUNK, Site, eventually, long_text, slow_to_read

# The longest that anybody waits for a page, whatever is away.
PATIENCE = 5.0
ENDED = {"answered", "weak", "not_in_documents", "failed"}
# Its lease is 30 seconds, a sweep comes every 10, and then it is answered or given up.
LONGEST_TURN = 100.0


@pytest.fixture(scope="module", autouse=True)
def _something_to_ask(site: Site) -> None:
    text = b"The key to the boiler room hangs behind the door of the porter's lodge."
    site.published(site.upload("boiler room.txt", text))


def open_page(site: Site, path: str) -> httpx.Response:
    """As a browser does, by a connection of its own."""
    return httpx.get(
        site.house.url + path, cookies=site.client.cookies, timeout=PATIENCE, follow_redirects=True
    )


def turn_page(site: Site, turn: str) -> str:
    conversation = UUID(site.turn(turn)["conversation_id"])
    return open_page(site, f"/conversations/{conversation}/").text


@pytest.mark.parametrize(
    "name", ["valkey", *(pytest.param(name, marks=pytest.mark.deep) for name in ("index", "web"))]
)
def test_an_ingest_goes_on_when_a_part_died(site: Site, name: str) -> None:
    document = site.upload(f"{name} dies.txt", long_text(3, 100))
    eventually(site.has_points(document))
    site.house.kill(name)
    site.published(document)
    site.assert_published_once(document)


@pytest.mark.parametrize(
    "name",
    [
        "engine",
        "valkey",
        *(pytest.param(name, marks=pytest.mark.deep) for name in ("index", "answer", "web")),
    ],
)
def test_a_question_is_answered_or_failed_with_a_sentence(site: Site, name: str) -> None:
    turn = site.ask(f"Where does the key to the boiler room hang ({name})?")
    eventually(lambda: site.turn(turn)["state"] != "asked")
    site.house.kill(name)
    eventually(lambda: site.turn(turn)["state"] in ENDED, LONGEST_TURN)
    site.wait_for("web")
    row = site.turn(turn)
    if row["state"] == "failed":
        assert row["error_code"] == "unavailable"
        page = turn_page(site, turn)
        assert re.search(r"(?i)\b(ask|try) (it |the question )?again\b", page), page
    finished = "SELECT count(*) n FROM audit_event WHERE action = 'answer.finished' AND object_ref = ?"
    assert site.rows(finished, str(UUID(turn)))[0]["n"] == 1


def test_a_killed_answer_is_taken_up_again_within_its_time(site: Site) -> None:
    """The same question is answered by the worker's successor, without a new one."""
    turn = site.ask("Who has the key to the boiler room?")
    eventually(lambda: site.turn(turn)["state"] == "answering")
    killed = time.monotonic()
    site.house.kill("answer")
    attempts = "SELECT attempt FROM jobs_job WHERE kind = 'answer' AND subject = ?"
    eventually(lambda: site.rows(attempts, turn)[0]["attempt"] == 2, 45)
    assert time.monotonic() - killed < 45
    eventually(lambda: site.turn(turn)["state"] in ENDED - {"failed"}, LONGEST_TURN)


def test_the_stream_of_an_answer_survives_the_broker(site: Site) -> None:
    turn = site.ask("Behind which door does the key hang?")
    eventually(lambda: site.turn(turn)["state"] != "asked")
    heard: list[str] = []
    listener = threading.Thread(target=lambda: heard.extend(events_of(site, turn)))
    listener.start()
    time.sleep(0.5)
    site.house.kill("valkey")
    listener.join(LONGEST_TURN)
    assert heard[-1] == "done"
    assert "answer" in heard or "failed" in heard


def events_of(site: Site, turn: str) -> Iterator[str]:
    """The names of the turn's events until its end, over as many connections as it takes."""
    until = time.monotonic() + LONGEST_TURN
    while time.monotonic() < until:
        with (
            httpx.Client(cookies=site.client.cookies, timeout=30) as client,
            client.stream("GET", f"{site.house.url}/turns/{UUID(turn)}/events") as stream,
        ):
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    yield line.removeprefix("event: ")
                if line == "event: done":
                    return
        time.sleep(1)


def test_pages_answer_while_the_broker_hangs(site: Site) -> None:
    """A broker that takes connections and says nothing is the worst one."""
    with site.house.held("valkey"):
        for path in (f"/libraries/{site.slug}/", "/"):
            begun = time.monotonic()
            page = open_page(site, path)
            assert page.status_code == 200, (path, page.text[:500])
            assert time.monotonic() - begun < PATIENCE, path
        begun = time.monotonic()
        document = site.upload("late.txt", b"The late bus leaves at eleven.")
        assert time.monotonic() - begun < PATIENCE + 1
        begun = time.monotonic()
        turn = site.ask("When does the late bus leave?")
        assert time.monotonic() - begun < PATIENCE + 1
    # The bell was not heard; the sweeper rings again.
    site.published(document)
    eventually(lambda: site.turn(turn)["state"] in ENDED - {"failed"}, LONGEST_TURN)


@pytest.mark.deep
def test_upkeep_starts_again_without_its_clock(site: Site) -> None:
    """The clock is a child of it: its death ends nothing, but nobody would look after lost bells."""
    upkeep = psutil.Process(site.house.states()["upkeep"]["pid"])
    (clock,) = upkeep.children()
    clock.kill()
    eventually(lambda: site.house.states()["upkeep"]["restarts"])
    site.wait_for("upkeep")
    test_an_emptied_broker_loses_no_job(site)


def test_a_search_without_its_worker_is_a_sentence(site: Site) -> None:
    with site.house.held("answer"):
        page = httpx.get(
            f"{site.house.url}/search",
            params={"q": "boiler"},
            cookies=site.client.cookies,
            headers={"Accept": "application/json"},
            timeout=20,
        )
    assert page.status_code in {200, 503}
    assert "not answer" in page.text or "again" in page.text, page.text[-2000:]


def test_an_upload_goes_on_after_the_web_process_died(site: Site) -> None:
    data = slow_to_read(4)
    url = site.announce("two parts.csv", len(data)).json()["url"]
    sent = site.client.patch(url, content=data[:CHUNK], headers={**site.headers(), "Upload-Offset": "0"})
    assert sent.json()["offset"] == CHUNK < len(data)
    site.house.kill("web")
    eventually(lambda: _serves(site))
    assert site.client.get(url, headers=site.headers()).json()["offset"] == CHUNK
    headers = {**site.headers(), "Upload-Offset": str(CHUNK)}
    done = site.client.patch(url, content=data[CHUNK:], headers=headers)
    document = UUID(done.json()["document"]).hex
    version = site.version(document)
    stored = site.house.data / "blobs" / str(UUID(version["tenant"]))
    assert (stored / version["sha256"]).read_bytes() == data


def _serves(site: Site) -> bool:
    try:
        return httpx.get(site.house.url + "/health", timeout=2).status_code == 200
    except httpx.TransportError:
        return False


def test_an_emptied_broker_loses_no_job(site: Site) -> None:
    with site.house.held("ingest"):
        documents = [site.upload(f"emptied {n}.txt", f"Locker {n} is empty.".encode()) for n in range(3)]
        with redis.Redis(unix_socket_path=str(site.house.run / "valkey.sock")) as broker:
            broker.flushall()
        emptied = time.monotonic()
    for document in documents:
        site.published(document, 60)
        site.assert_published_once(document)
    # Twice the sweeper's pace, and the work itself.
    assert time.monotonic() - emptied < 40
