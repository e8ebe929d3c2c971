"""An installation from before the sealed log: going back and forth loses no event and no guard."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from tests.upkeep.installation import Installation


@pytest.mark.skipif(connection.vendor != "sqlite", reason="an installation of its own is SQLite's in any run")
def test_old_events_are_queued_and_stay_as_they_were(tmp_path: Path) -> None:
    there = Installation.in_folder(tmp_path)
    assert there.seed(module="tests.audit.some_events").wait(timeout=120) == 0
    events = (
        "SELECT event_id, lower(hex(body)), lower(hex(leaf_hash)), occurred_at FROM audit_event ORDER BY 1"
    )
    before = there.ask(events)
    assert len(before) == 5

    assert there.manage("migrate", "audit", "0004").returncode == 0
    assert there.ask(events) == before
    triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_event'"
    assert there.ask(triggers) == [(3,)]
    assert not there.ask("SELECT 1 FROM sqlite_master WHERE name = 'audit_leaf'")

    assert there.manage("migrate").returncode == 0
    assert there.ask(events) == before
    assert there.ask(triggers) == [(4,)]
    queued = there.ask("SELECT event FROM audit_pending ORDER BY id")
    assert queued == [(event,) for event, *_rest in sorted(before, key=lambda row: row[3])]
