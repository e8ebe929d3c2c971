"""The site administrator's pages: health and models."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from muniment.documents.generations import Making, begin_first
from muniment.documents.models import Generation, GenerationState
from muniment.jobs.models import Job, Kind
from muniment.registry.models import Engine
from muniment.registry.services import store_checks
from muniment.scope import Role
from tests.factories import make_person
from tests.house import House, events, signed_in

UP = {"name": "web", "state": "ready", "pid": 1, "since": 1.0, "restarts": 0, "rss": 90_000_000, "reason": ""}
FACTS = {
    "model": "small",
    "model_sha256": "ab" * 32,
    "context": 4096,
    "build": "1",
    "embedder": "minilm",
    "embedder_sha256": "cd" * 32,
    "dimension": 384,
    "max_tokens": 256,
}


@pytest.fixture
def client(house: House) -> Client:
    return signed_in(make_person(house.tenant, roles=[Role.SITE_ADMIN]))


@pytest.fixture(autouse=True)
def state_file() -> Iterator[Path]:
    """What the supervisor writes."""
    path = Path(settings.RUN_DIR) / "state.json"
    yield path
    path.unlink(missing_ok=True)


def supervised(path: Path, *processes: dict[str, object], age: float = 0) -> None:
    state = {"supervisor": 1, "updated": time.time() - age, "processes": processes}
    path.write_text(json.dumps(state))


def part(client: Client, name: str) -> dict[str, str]:
    parts = client.get("/console/").context["health"]["parts"]
    return next(vars(part) for part in parts if part.name == name)


def test_everything_works(client: Client, state_file: Path) -> None:
    supervised(state_file, UP, {**UP, "name": "index"})
    Engine.objects.create(model="small", facts=FACTS, prompt_speed=42.4, output_speed=15.1, budget=636)
    page = client.get("/console/")
    assert "Everything works" in page.content.decode()
    assert part(client, "Web")["amount"] == "90 MB"
    assert part(client, "Language model")["amount"] == "42 / 15 tokens a second"
    assert part(client, "Database")["state"] == part(client, "Disk")["state"] == "up"


def test_a_dead_part_is_named_with_what_to_do(client: Client, state_file: Path) -> None:
    Engine.objects.create(model="small", facts=FACTS)
    supervised(state_file, UP, {**UP, "name": "index", "state": "resting", "restarts": 2, "rss": 0})
    assert client.get("/console/").context["health"]["sentence"] == "One part does not work: Passage index"
    index = part(client, "Passage index")
    assert (index["state"], index["detail"]) == ("down", "started again 2 times")
    assert "index.log" in index["advice"]


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"updated": "x", "processes": 3}'])
def test_without_a_supervisor_nothing_is_claimed(
    client: Client, state_file: Path, content: str | None
) -> None:
    if content is not None:
        state_file.write_text(content)
    assert part(client, "Supervisor")["state"] == "unknown"
    assert not client.get("/console/").context["health"]["ok"]


def test_an_old_state_is_not_believed(client: Client, state_file: Path) -> None:
    supervised(state_file, UP, age=60)
    assert part(client, "Supervisor")["state"] == "unknown"


def test_queues_are_counted(client: Client, house: House) -> None:
    for _number in range(3):
        Job.objects.create(tenant=house.tenant.id, kind=Kind.INGEST, subject=uuid4(), next_at=timezone.now())
    assert part(client, "Files waiting")["amount"] == "3"
    assert part(client, "Questions waiting")["amount"] == "0"


def test_a_full_disk_says_what_to_do(client: Client, settings: object) -> None:
    settings.FREE_DISK_BYTES = 10**18  # type: ignore[attr-defined]  # pytest-django's settings
    disk = part(client, "Disk")
    assert disk["state"] == "down"
    assert "Make room" in disk["advice"]


def test_what_the_doctor_found_is_shown(client: Client) -> None:
    store_checks([("Models", "ok", "All there."), ("Backup", "warn", "The last backup is old. Make one.")])
    assert part(client, "Backup")["advice"] == "The last backup is old. Make one."
    assert "All there." not in client.get("/console/").content.decode()


def test_looking_is_recorded_once_while_the_page_stays_open(client: Client) -> None:
    client.get("/console/")
    for _tick in range(3):
        partial = client.get("/console/", headers={"hx-request": "true"})
        assert b"<html" not in partial.content
    assert len(events("health.viewed")) == 1


def test_the_models_page_says_which_server_has_a_model_of_unknown_bytes(client: Client) -> None:
    Engine.objects.create(model="llama4:scout", facts={**FACTS, "model_sha256": "", "build": "Ollama"})
    html = client.get("/console/models").content.decode()
    assert "llama4:scout" in html
    assert "on another server (Ollama)" in html


def test_the_models_page_shows_speed_and_budget(client: Client) -> None:
    assert "No model is there yet" in client.get("/console/models").content.decode()
    Engine.objects.create(model="small", facts=FACTS, prompt_speed=42.4, output_speed=15.1, budget=636)
    page = client.get("/console/models").content.decode()
    assert "42 tokens a second" in page
    assert "636 tokens" in page
    assert "minilm" in page


def test_another_index_that_is_being_made_is_shown(client: Client) -> None:
    Engine.objects.create(model="small", facts=FACTS)
    first = begin_first(Making("minilm", "cd" * 32, 384, splitter=1, words=1))
    assert "minilm" in client.get("/console/models").content.decode()
    made = {"embedder": "e5", "embedder_sha256": "ef" * 32, "dimension": 384, "splitter": 1, "words": 1}
    counts = {"documents": 9, "built": 3}
    Generation.objects.create(number=first.number + 1, state=GenerationState.BUILDING, **made, **counts)
    assert part(client, "Another index")["amount"] == "3 of 9 documents"
    page = client.get("/console/models").content.decode()
    assert "finding passages, index 1" in page and "finding passages, index 2" in page
    assert "3 of 9 documents" in page


def test_the_budget_is_set_by_hand_and_given_back(client: Client) -> None:
    Engine.objects.create(model="small", facts=FACTS, budget=636)
    client.post("/console/models/budget", {"budget": "900"})
    assert Engine.objects.get().prompt_budget == 900
    client.post("/console/models/budget", {"budget": ""})
    assert Engine.objects.get().prompt_budget == 636
    first, second = events("engine.budget_changed")
    assert first["details"] == {"model": "small", "budget": 900, "budget_before": 636}
    assert second["details"]["budget"] == 636


@pytest.mark.parametrize("budget", ["0", "-5", "10", "4096", "many", "9" * 30])
def test_a_budget_that_cannot_be_is_refused(client: Client, budget: str) -> None:
    Engine.objects.create(model="small", facts=FACTS, budget=636)
    response = client.post("/console/models/budget", {"budget": budget}, follow=True)
    assert "budget" in response.content.decode()
    assert Engine.objects.get().prompt_budget == 636


def test_without_an_engine_there_is_no_budget(client: Client) -> None:
    assert client.post("/console/models/budget", {"budget": "900"}).status_code == 404
