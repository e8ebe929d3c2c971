"""What a reader's child cannot do, whatever code a file brings to run in it."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from tests import planted
from workers.ingest import sandbox
from workers.ingest.errors import KilledReader
from workers.ingest.limits import Limits


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file for the planted reader, which is started for this test and ends with it."""
    monkeypatch.setattr(sandbox, "WARM_READER", "tests.ingest.planted_reader")
    monkeypatch.setattr(sandbox, "_warm", None)
    path = tmp_path / "blob"
    path.write_text("hostile")
    return path


@pytest.fixture
def attempts(hostile: Path, tmp_path: Path) -> dict[str, str]:
    other = tmp_path / "other"
    other.write_text("somebody else's document")
    arguments = {"other": str(other), "new": str(tmp_path / "new")}
    told = json.loads(sandbox.run("attempts", hostile, arguments, Limits()))
    assert not (tmp_path / "new").exists()
    return dict(told)


def test_a_reader_opens_no_socket(attempts: dict[str, str]) -> None:
    tried = {name: attempts[name] for name in (*planted.SOCKETS, "pair", "program")}
    assert set(tried.values()) == {"EPERM"}, tried


def test_a_reader_sees_its_file_and_no_other(attempts: dict[str, str]) -> None:
    assert attempts["own file"] == "done"
    tried = {name: attempts[name] for name in ("other file", "folder", "new file", "own file to write")}
    assert set(tried.values()) == {"EACCES"}, tried


def test_a_reader_sends_no_signal(attempts: dict[str, str]) -> None:
    assert attempts["signal"] == "EPERM"


def test_a_reader_lives_in_a_network_of_its_own(attempts: dict[str, str]) -> None:
    assert attempts["network"] != planted.network()


@pytest.mark.skipif(platform.machine() != "x86_64", reason="there is no second set of numbers elsewhere")
def test_a_reader_that_calls_by_other_numbers_is_killed(hostile: Path) -> None:
    with pytest.raises(KilledReader) as caught:
        sandbox.run("other numbers", hostile, {}, Limits())
    assert caught.value.cause == "SIGSYS"
