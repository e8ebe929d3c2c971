"""The main job on a site's database, as roles that own nothing and are bound by row-level security."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.ingest.make import pdf
from tests.postgres import Cluster
from tests.running import RunningHouse


def test_a_document_is_uploaded_asked_about_and_opened_at_its_page(
    site: RunningHouse, tmp_path: Path
) -> None:
    manual = tmp_path / "boiler.pdf"
    manual.write_bytes(pdf([[(72, 700, 12, "A leak of the old boiler is reported within 36 hours.")]]))
    done = site.manage("ingest", str(manual), "--library", "handbook", "--wait", "--json")
    assert [row["state"] for row in json.loads(done.stdout)] == ["published"]
    with closing(site.client("staff")) as client:
        asked = site.post(
            client, "/ask", question="Within how many hours is a leak of the old boiler reported?"
        )
        turn = re.findall(r"turn-([0-9a-f-]{36})", asked.text)[-1]
        assert told(client, f"/turns/{turn}/events") >= {"sources", "token", "answer", "done"}
        source = client.get(f"/turns/{turn}/sources/1")
        assert source.status_code == 200
        assert "boiler.pdf" in source.text
        found = client.get("/search", params={"q": "old boiler"})
        assert "boiler.pdf" in found.text


def told(client: httpx.Client, path: str) -> set[str]:
    """The names of a stream's events until its end."""
    names = set()
    with client.stream("GET", path, timeout=120) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                names.add(line.removeprefix("event: "))
            if line == "event: done":
                break
    return names


def test_the_officer_finds_it_in_the_trail(site: RunningHouse) -> None:
    with closing(site.client("officer")) as client:
        trail = client.get("/desk/trail").text
    assert "published a document" in trail
    assert "boiler.pdf" in trail


def test_the_doctor_finds_nothing_broken(site: RunningHouse) -> None:
    checks = site.manage("doctor", check=False).stdout
    assert "bad " not in checks, checks
    assert "The database refuses to change or remove events." in checks


@pytest.mark.parametrize(("command", "said"), [("backup", "pg_dump"), ("restore", "pg_restore")])
def test_backups_of_the_server_are_its_own_tools_work(
    site: RunningHouse, tmp_path: Path, command: str, said: str
) -> None:
    refused = site.manage(command, str(tmp_path / "backup"), check=False)
    assert refused.returncode != 0
    assert said in refused.stderr


@pytest.mark.parametrize("role", ["muniment_owner", "postgres"])
def test_a_role_that_may_do_more_serves_nobody(cluster: Cluster, tmp_path: Path, role: str) -> None:
    house = RunningHouse(tmp_path, MUNIMENT_DATABASE_URL=cluster.url(role))
    refused = house.manage("up", "web", check=False)
    assert refused.returncode != 0
    assert f"The database role {role}" in refused.stderr
    assert "MUNIMENT_DATABASE_URL" in refused.stderr


def test_a_database_that_is_away_is_a_sentence(tmp_path: Path) -> None:
    url = f"postgresql://muniment_web@/muniment?host={tmp_path}"
    house = RunningHouse(tmp_path, MUNIMENT_DATABASE_URL=url)
    refused = house.manage("up", "web", check=False)
    assert "The database does not answer" in refused.stderr
    assert "Traceback" not in refused.stderr
