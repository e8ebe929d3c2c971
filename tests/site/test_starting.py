"""A site's parts wait for their servers by name, and go on by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.faults.look import eventually
from tests.running_site import RunningSite, served

DATABASE = "the database (MUNIMENT_DATABASE_URL)"
BROKER = "the broker (MUNIMENT_BROKER_URL)"
INDEX = "the index (MUNIMENT_INDEX_URL)"
# What is promised, on a machine that does nothing else.
SERVING_SECONDS = 10.0


@pytest.fixture(scope="module")
def bare() -> Iterator[RunningSite]:
    """A site of its own: roles and tables are made, and no server runs."""
    with served() as site:
        site.stop_servers()
        yield site


def test_parts_wait_for_their_servers_by_name_and_go_on_by_themselves(bare: RunningSite) -> None:
    web, ingest = bare.start_part("web"), bare.start_part("ingest")
    eventually(lambda: len(bare.states()) == 2 and all(part["reason"] for part in bare.states().values()), 60)
    assert bare.states()["web"]["reason"] == f"for {DATABASE}"
    assert bare.states()["ingest"]["reason"] == f"for {DATABASE} and {BROKER} and {INDEX}"
    assert {part["state"] for part in bare.states().values()} == {"waiting"}
    bare.start_servers()
    begun = time.monotonic()
    bare.wait_until_ready()
    assert httpx.get(f"http://{bare.address}:8000/health").status_code == 200
    assert time.monotonic() - begun < 3 * SERVING_SECONDS  # on a machine that is busy with tests
    for name, part in (("web", web), ("ingest", ingest)):
        said = bare.log_of(name).read_text()
        assert said.count(f"{name} waits for {DATABASE}") >= 1
        assert "Traceback" not in said
        for secret in bare.secrets.iterdir():
            assert secret.read_text().strip() not in said
        assert part.poll() is None
        bare.stop_part(name)
