"""The sequencer as a process: it seals within a second, alone, and says why where it cannot."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.upkeep.installation import ROOT, Installation

SEALED_WITHIN_SECONDS = 1.5


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = Installation.in_folder(tmp_path_factory.mktemp("sequencer"))
    assert made.seed(module="tests.audit.some_events").wait(timeout=120) == 0
    return made


@contextmanager
def sequencer(there: Installation) -> Iterator[subprocess.Popen[str]]:
    settings = {**there.environment, "MUNIMENT_LOG": "INFO"}
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.sequencer"], cwd=ROOT, env=settings, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def wait_for_seals(there: Installation, seconds: float) -> float:
    began = time.monotonic()
    while there.count("audit_pending"):
        assert time.monotonic() < began + seconds, "not sealed"
        time.sleep(0.02)
    return time.monotonic() - began


def test_it_seals_what_was_written_before_and_what_is_written_now(there: Installation) -> None:
    with sequencer(there):
        wait_for_seals(there, 20)
        (before,) = there.ask("SELECT count(*) FROM audit_leaf WHERE tenant <> ?", "0" * 31 + "1")
        writing = there.seed(module="tests.audit.some_events")
        assert writing.wait(timeout=60) == 0
        assert wait_for_seals(there, SEALED_WITHIN_SECONDS) < SEALED_WITHIN_SECONDS
        (after,) = there.ask("SELECT count(*) FROM audit_leaf WHERE tenant <> ?", "0" * 31 + "1")
        assert after[0] == before[0] + 5


def test_its_folder_is_its_owners_alone(there: Installation) -> None:
    assert (there.data / "seal").stat().st_mode & 0o777 == 0o700
    assert (there.data / "seal" / "log.key").stat().st_mode & 0o777 == 0o600


def test_there_is_one_at_a_time(there: Installation) -> None:
    with sequencer(there) as first:
        assert first.stderr
        while "fingerprint" not in first.stderr.readline():
            assert first.poll() is None
        with sequencer(there) as second:
            assert second.wait(timeout=20) == 1
            assert second.stderr
            assert "already runs" in second.stderr.read()
        assert first.poll() is None


@pytest.mark.parametrize("fault", ["readable", "damaged", "went back"])
def test_it_ends_with_a_sentence_where_it_must_not_sign(there: Installation, fault: str) -> None:
    key, last = there.data / "seal" / "log.key", there.data / "seal" / "last"
    kept = {path: path.read_bytes() for path in (key, last)}
    if fault == "readable":
        key.chmod(0o644)
    elif fault == "damaged":
        key.write_text("PRIVATE")
    else:
        origin, size, rest = last.read_text().split("\n", 2)
        last.write_text(f"{origin}\n{int(size) + 1}\n{rest}")
    assert there.seed(module="tests.audit.some_events").wait(timeout=60) == 0
    try:
        with sequencer(there) as refused:
            assert refused.wait(timeout=20) == 1
            assert refused.stderr
            said = refused.stderr.read()
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
        key.chmod(0o600)
    assert {"readable": "mode 600", "damaged": "damaged", "went back": "does not go on"}[fault] in said
    assert "Traceback" not in said
    assert there.count("audit_pending") >= 5


def test_it_is_small(there: Installation, tmp_path: Path) -> None:
    import psutil

    with sequencer(there) as process:
        wait_for_seals(there, 20)
        assert psutil.Process(process.pid).memory_info().rss < 110_000_000
