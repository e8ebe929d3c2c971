"""Another index is made while people search: whoever is killed, something is found at every moment."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from tests.engines.made_embedder import make_embedder
from tests.faults.look import Site, eventually, long_text
from tests.running import ROOT, SMALL_MODEL, RunningHouse
from workers.engines import catalogue

pytestmark = [pytest.mark.deep, pytest.mark.timeout(1800)]

DOCUMENTS = 80
MODELS = (settings.EMBEDDER, SMALL_MODEL)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[RunningHouse]:
    """With the default embedder in use, and a small one of the administrator's own beside it."""
    models = tmp_path / "models"
    models.mkdir()
    for name in MODELS:
        place = catalogue.path_of(name)
        (models / place.name).symlink_to(place)
    made = RunningHouse(tmp_path, MUNIMENT_MODELS=str(models))
    own = make_embedder(tmp_path / "own", catalogue.path_of(settings.EMBEDDER))
    made.manage("models", "add", str(own), "--name", "small", "--licence", "ours")
    made.prepare()
    made.start()
    yield made
    made.stop()


@contextmanager
def searching(client: httpx.Client) -> Iterator[list[str]]:
    """Somebody searches all the time; gives what was wrong."""
    wrong: list[str] = []
    over = threading.Event()
    count = 0

    def search() -> None:
        nonlocal count
        while not over.wait(0.1):
            reply = client.get("/search", params={"q": "What is said of the pump in room 7?"})
            count += 1
            if reply.status_code != 200 or "pump.txt" not in reply.text:
                wrong.append(f"{reply.status_code} {re.sub('<[^>]+>', ' ', reply.text)[-500:]}")

    searcher = threading.Thread(target=search)
    searcher.start()
    try:
        yield wrong
    finally:
        over.set()
        searcher.join()
    print(f"{count} searches")
    assert count > 20


def test_a_kill_of_every_part_of_the_work(house: RunningHouse, tmp_path: Path) -> None:
    site = Site(house)
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(DOCUMENTS):
        (folder / f"{number}.txt").write_bytes(long_text(number, 30))
    (folder / "pump.txt").write_text("The pump in room 7 is oiled on Tuesdays.")
    house.manage("ingest", str(folder), "--library", site.slug, "--wait", timeout=900)
    house.stop()
    house.environment["MUNIMENT_EMBEDDER"] = "small"
    house.start()
    assert "the settings name small" in house.manage("doctor", check=False).stdout
    with searching(house.client("admin")) as wrong:
        command = subprocess.Popen(
            [sys.executable, "manage.py", "reindex"], cwd=ROOT, env=house.environment, stdout=subprocess.PIPE
        )
        built = "SELECT built FROM documents_generation WHERE number = 2"
        eventually(lambda: (site.rows(built) or [(0,)])[0][0] >= 5)
        command.send_signal(signal.SIGKILL)
        for name in ("ingest", "upkeep"):
            house.kill(name)
        (done,) = site.rows(built)[0]
        assert done < DOCUMENTS, "too quick to be killed half-way"
        site.upload("late.txt", b"A late bell rings.")
        again = house.manage("reindex", timeout=900).stdout
        assert "Index 2 answers now." in again
        assert not re.search(r"^[0-4] of", again, re.MULTILINE), "it goes on where it was"
        time.sleep(2)
    assert not wrong, wrong[:3]
    assert "late.txt" in site.client.get("/search", params={"q": "A late bell rings."}).text
    said = eventually(lambda: _said(house), seconds=60, pause=2)
    assert "Database, index and stored files agree." in said
    assert "Index 2 (in use): small, 32 numbers" in house.manage("models").stdout


def _said(house: RunningHouse) -> str:
    """Once what was ordered meanwhile is done, the comparison finds nothing."""
    done = house.manage("reconcile", check=False)
    return done.stdout if done.returncode == 0 and "agree" in done.stdout else ""
