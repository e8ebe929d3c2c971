"""The page that shows whether data stays here."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from muniment.audit import egress
from muniment.registry.services import store_report
from muniment.scope import Role
from tests.factories import EGRESS_TEST, make_person
from tests.house import House, events, signed_in

WALLS = {"seccomp": True, "landlock": 7, "namespace": True, "socket_refused": True, "file_refused": True}
REPORT: dict[str, Any] = {
    "made": "2026-01-02T03:04:05Z",
    "walls": WALLS,
    "egress_test": EGRESS_TEST,
    "software": {"format": "CycloneDX 1.6", "components": 90, "sha256": "ab" * 32},
    "models": [
        {
            "name": "small",
            "kind": "language",
            "licence": "Apache-2.0",
            "bytes": 90_000_000,
            "sha256": "cd" * 32,
        }
    ],
}


@pytest.fixture
def client(house: House) -> Client:
    return signed_in(make_person(house.tenant, roles=[Role.SITE_ADMIN]))


def page(client: Client) -> dict[str, Any]:
    found = client.get("/console/sovereignty")
    assert found.status_code == 200
    return {**found.context["sovereignty"], "html": found.content.decode()}


def states(seen: dict[str, Any]) -> dict[str, str]:
    return {row.name: row.state for row in seen["rows"]}


def test_everything_is_kept_here(client: Client) -> None:
    store_report("sovereignty", REPORT)
    seen = page(client)
    assert seen["sentence"] == "Data is kept here"
    assert set(states(seen).values()) == {"up"} and len(seen["rows"]) == 5
    assert (
        "7 planted calls caught" in seen["html"]
        and "Apache-2.0" in seen["html"]
        and "abababab" in seen["html"]
    )


def test_before_the_first_report_it_says_so(client: Client) -> None:
    assert page(client)["sentence"] == "The first report is being made"


def test_a_blocked_call_is_shown_with_where_it_wanted_to_go(client: Client) -> None:
    store_report("sovereignty", REPORT)
    egress._attempts.append(("connect", "192.0.2.7", 443))
    egress.record_attempts()
    seen = page(client)
    assert states(seen)["Calls to the outside"] == "warning"
    assert "192.0.2.7:443" in seen["html"] and "Find out which library" in seen["html"]


@pytest.mark.parametrize(
    ("change", "row", "state"),
    [
        ({"walls": {**WALLS, "socket_refused": False}}, "Walls around readers, model and index", "down"),
        ({"walls": {**WALLS, "landlock": 0}}, "Walls around readers, model and index", "warning"),
        ({"egress_test": None}, "Test that nothing leaves", "warning"),
        ({"egress_test": {**EGRESS_TEST, "packets": 1}}, "Test that nothing leaves", "down"),
        ({"egress_test": {**EGRESS_TEST, "caught": 6}}, "Test that nothing leaves", "down"),
    ],
)
def test_what_is_missing_is_said(client: Client, change: dict[str, Any], row: str, state: str) -> None:
    store_report("sovereignty", REPORT | change)
    assert states(page(client))[row] == state


def test_a_lost_switch_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    seen = page(client)
    assert states(seen)["Switches of libraries"] == "down"
    assert "A layer that keeps data here is missing" in seen["html"]


def test_looking_is_recorded(client: Client) -> None:
    page(client)
    assert len(events("sovereignty.viewed")) == 1
