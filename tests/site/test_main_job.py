"""The main job on a site's database, as roles that own nothing and are bound by row-level security."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.ingest.make import pdf
from tests.postgres import Cluster
from tests.running import RunningHouse

FACT = "A leak of the old boiler is reported within 36 hours."


def test_a_document_is_uploaded_asked_about_and_opened_at_its_page(site: RunningHouse) -> None:
    with closing(site.client("staff")) as client:
        upload(client, "boiler.pdf", pdf([[(72, 700, 12, FACT)]]))
        asked = site.post(
            client, "/ask", question="Within how many hours is a leak of the old boiler reported?"
        )
        turn = re.findall(r"turn-([0-9a-f-]{36})", asked.text)[-1]
        assert told(client, f"/turns/{turn}/events") >= {"sources", "token", "answer", "done"}
        source = client.get(f"/turns/{turn}/sources/1")
        assert source.status_code == 200
        assert "boiler.pdf" in source.text
        assert FACT in re.sub(r"<[^>]+>", "", source.text)
        page = re.search(r"/documents/[0-9a-f-]{36}/pages/1", source.text)
        assert page, source.text
        picture = client.get(f"{page[0]}/picture", params={"width": "600"})
        assert picture.headers["content-type"] == "image/png"
        found = client.get("/search", params={"q": "old boiler"})
        assert "boiler.pdf" in found.text


def upload(client: httpx.Client, name: str, content: bytes) -> None:
    """As the page's script does; returns once the document is published."""
    page = client.get("/libraries/handbook/").text
    library = re.search(r'data-library="([0-9a-f-]{36})"', page)
    assert library, page
    headers = {"X-CSRFToken": client.cookies["muniment-csrf"], "Referer": str(client.base_url)}
    headers |= {"Accept": "application/json"}
    announced = {"name": name, "size": len(content), "library": library[1]}
    begun = client.post("/uploads", json=announced, headers=headers)
    assert begun.status_code == 201, begun.text
    headers |= {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    ended = client.patch(begun.json()["url"], content=content, headers=headers).json()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if "/pages/" in client.get(f"/documents/{ended['document']}").url.path:
            return
        time.sleep(0.3)
    raise AssertionError("the document was not published within a minute")


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
