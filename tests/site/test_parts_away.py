"""A site's database or broker goes away under work: people are told so, and everything goes on by itself."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from tests.faults.look import DIMENSION, eventually, long_text
from tests.postgres import Cluster
from tests.running_site import RunningSite
from workers.engines.index import QdrantIndex

# Long enough to be noticed by everybody who holds a connection.
AWAY_SECONDS = 4
BACK_SECONDS = 30
# What is left of the work itself, on a busy machine.
WORK_SECONDS = 120
ANSWERED = {"answered", "weak", "not_in_documents"}

OF_NAME = "FROM documents_version v JOIN documents_document d ON d.id = v.document_id WHERE d.name = '{}'"
VERSION = "SELECT v.id, v.tenant, d.id " + OF_NAME
VERSION_STATE = "SELECT v.state " + OF_NAME
PASSAGES = "SELECT id FROM documents_passage WHERE version_id = '{}' ORDER BY id"
TURN_STATE = "SELECT state FROM conversations_turn WHERE id = '{}'"
NOT_IN_HAND = (
    "SELECT count(*) FROM jobs_job WHERE state = 'ready' OR state = 'running' AND lease_until < now()"
)
EVENTS = "SELECT count(*) FROM audit_event WHERE action = '{}' AND object_ref = '{}'"


@pytest.fixture
def client(site: RunningSite) -> Iterator[httpx.Client]:
    with closing(site.client("staff")) as client:
        yield client


def restart_the_database(site: RunningSite, cluster: Cluster, client: httpx.Client) -> None:
    """As when the power of its machine went. Meanwhile no page pretends, and none shows what broke."""
    cluster.stop(immediately=True)
    until = time.monotonic() + AWAY_SECONDS
    try:
        while time.monotonic() < until:
            for accept in ("text/html", "application/json"):
                page = client.get("/libraries/handbook/", headers={"Accept": accept})
                assert page.status_code == 503, page.text
                assert "does not answer right now. Try again in a minute." in page.text
                assert not re.search(r"(?i)traceback|psycopg|postgres|socket|select ", page.text)
            time.sleep(0.5)
    finally:
        cluster.start()


def empty_the_broker(site: RunningSite, cluster: Cluster, client: httpx.Client) -> None:
    """As when its disk was lost."""
    with site.without_broker():
        shutil.rmtree(site.folder / "valkey" / "appendonlydir")


@pytest.mark.parametrize(
    "take_away", [restart_the_database, pytest.param(empty_the_broker, marks=pytest.mark.deep)]
)
@pytest.mark.timeout(600)
def test_an_ingest_and_an_answer_go_on(
    take_away: Callable[[RunningSite, Cluster, httpx.Client], None],
    site: RunningSite,
    cluster: Cluster,
    client: httpx.Client,
    tmp_path: Path,
) -> None:
    def rows(sql: str, *values: object) -> list[str]:
        return cluster.sql(sql.format(*values), "muniment").splitlines()

    name = f"{take_away.__name__}.txt"
    (tmp_path / name).write_bytes(long_text(5, 130))
    site.manage("ingest", str(tmp_path / name), "--library", "handbook")
    eventually(lambda: rows(VERSION_STATE, name) == ["embedding"])
    asked = site.post(client, "/ask", question="Who reports a leak?")
    turn = UUID(re.findall(r"turn-([0-9a-f-]{36})", asked.text)[-1])
    eventually(lambda: rows(TURN_STATE, turn) != ["asked"])
    assert rows(VERSION_STATE, name) == ["embedding"], "it shall be taken away in the middle"

    take_away(site, cluster, client)
    back = time.monotonic()

    eventually(lambda: client.get("/libraries/handbook/").status_code == 200, BACK_SECONDS)
    eventually(lambda: rows(NOT_IN_HAND) == ["0"], BACK_SECONDS - (time.monotonic() - back))
    eventually(lambda: rows(TURN_STATE, turn)[0] in ANSWERED, WORK_SECONDS)
    eventually(lambda: rows(VERSION_STATE, name) == ["published"], WORK_SECONDS)
    assert name in client.get("/libraries/handbook/").text

    version, tenant, document = rows(VERSION, name)[0].split("|")
    key = (site.secrets / "index_key").read_text().strip()
    url = site.environment["MUNIMENT_INDEX_URL"]
    with closing(QdrantIndex(url, DIMENSION, api_key=key)) as index:
        points = sorted(str(p.id) for p in index.stored_points(UUID(tenant)) if str(p.version) == version)
    assert points == rows(PASSAGES, version)
    assert rows(EVENTS, "document.published", document) == ["1"]
    assert rows(EVENTS, "answer.finished", turn) == ["1"]
    assert {part["state"] for part in site.states().values()} == {"ready"}
