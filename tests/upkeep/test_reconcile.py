"""`manage.py reconcile` for an administrator: what it says, its exit code, and what the doctor keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engines.index_process import IndexProcess
from tests.upkeep.installation import Installation


@pytest.fixture
def with_index(installation: Installation) -> Any:
    """The index runs, and has nothing in it yet."""
    process = IndexProcess(installation.data / "index", installation.run / "index.sock").start()
    yield installation
    process.stop()


def reconcile(installation: Installation, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    done = installation.manage("reconcile", "--json", *arguments)
    assert not done.stderr, done.stderr
    report = json.loads(done.stdout)
    assert report["whole"] == (done.returncode == 0)
    return done.returncode, {row["what"]: row for row in report["differences"]}


def doctor(installation: Installation) -> tuple[str, str]:
    rows = json.loads(installation.manage("doctor", "--json").stdout)
    return next((row["state"], row["sentence"]) for row in rows if row["name"] == "agreement")


def test_an_index_that_lost_everything_is_filled_by_jobs(with_index: Installation) -> None:
    code, found = reconcile(with_index, "--dry-run")
    assert code == 1 and found["missing_points"]["found"] == 4
    assert with_index.ask("SELECT count(*) FROM jobs_job WHERE kind = 'reindex'") == [(0,)]
    code, found = reconcile(with_index)
    assert code == 0 and found["missing_points"]["left"] == 0
    assert with_index.ask("SELECT count(*) FROM jobs_job WHERE kind = 'reindex'") == [(4,)]
    assert with_index.ask("SELECT count(*) FROM audit_event WHERE action = 'storage.mended'") == [(4,)]
    # The jobs are on their way, so nothing is left to find.
    done = with_index.manage("reconcile")
    assert (done.returncode, done.stdout.strip()) == (0, "Database, index and stored files agree.")
    assert doctor(with_index)[0] == "ok"


def test_a_lost_original_needs_a_person_and_is_said_until_it_is_back(with_index: Installation) -> None:
    reconcile(with_index)
    path = with_index.data / "blobs" / sorted(with_index.originals())[0]
    kept = path.read_bytes()
    path.unlink()
    done = with_index.manage("reconcile")
    assert done.returncode == 1
    assert "An original is missing." in done.stdout and "restore them from a backup" in done.stdout
    state, sentence = doctor(with_index)
    assert state == "bad" and "restore them from a backup" in sentence
    path.write_bytes(kept)
    assert with_index.manage("reconcile").returncode == 0
    assert doctor(with_index)[0] == "ok"


def test_an_index_that_does_not_run_is_said(installation: Installation) -> None:
    done = installation.manage("reconcile")
    assert done.returncode == 1
    assert "was not compared: start Muniment" in done.stdout


def test_only_a_site_administrator_may_do_it(installation: Installation, tmp_path: Path) -> None:
    installation.change("UPDATE accounts_person SET roles = '[\"staff\"]'")
    done = installation.manage("reconcile", "--as", "admin")
    assert done.returncode == 1
    assert "Only a site administrator" in done.stderr
