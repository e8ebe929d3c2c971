"""Kept questions beside a running installation: from the page by the workers, and by the command."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import httpx
import pytest

from tests.running import RunningHouse


@pytest.fixture(scope="module")
def curator(house: RunningHouse) -> httpx.Client:
    """Somebody who looks after the sample library."""
    admin = house.client("admin")
    made = house.post(
        admin,
        "/console/people/create",
        name="Cora Curator",
        username="cora",
        roles=["curator"],
        clearance="1",
    )
    (password,) = re.findall(r"(?:[a-z2-9]{5}-){3}[a-z2-9]{5}", made.text)
    house.passwords["cora"] = password
    settings = re.search(
        r'/console/libraries/[0-9a-f-]{36}(?=">Handbook<)', admin.get("/console/libraries/").text
    )
    person = re.search(r'/console/people/([0-9a-f-]{36})">Cora', admin.get("/console/people/").text)
    assert settings and person
    house.post(admin, f"{settings.group(0)}/grants", to=f"person:{person.group(1)}", level="2")
    return house.client("cora")


def test_a_run_from_the_page_is_done_by_the_workers(house: RunningHouse, curator: httpx.Client) -> None:
    library = re.search(
        r'/console/quality/[0-9a-f-]{36}(?=">Handbook<)', curator.get("/console/quality/").text
    )
    assert library
    url = library.group(0)
    question = "How many days of annual leave does everybody have?"
    fields = {"question": question, "document": "leave-and-absence.docx", "page": "1"}
    # The sample documents may still be on their way in.
    _until(lambda: house.post(curator, f"{url}/keep", **fields).status_code == 200)
    house.post(curator, f"{url}/run")
    link = re.compile(r"/console/quality/runs/[0-9a-f-]{36}")
    _until(lambda: bool(link.search(curator.get(url).text)))
    run = link.search(curator.get(url).text)
    assert run
    page = curator.get(run.group(0)).text
    assert "leave-and-absence.docx, page 1" in page and ">found<" in page

    done = house.manage("evaluate", "--library", "handbook", "--as", "cora", "--fail-below", "recall@5=1")
    assert re.search(r"^recall@5 +1\.000 +1\.000 +0 +0 +1", done.stdout, re.MULTILINE), done.stdout
    refused = house.manage("evaluate", "--library", "handbook", "--as", "staff", check=False)
    assert refused.returncode != 0 and "Your role does not include this" in refused.stderr


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not done():
        assert time.monotonic() < until
        time.sleep(0.3)
