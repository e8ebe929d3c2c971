"""Nothing leaves: the whole main job on a machine that is cut off, with every packet and every name counted.

A machine that does not allow network namespaces fails these tests: it proves nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.planted import PORT, PUBLIC
from tests.security.cut_off import COMMAND

ROOT = Path(__file__).resolve().parents[2]
NOTHING: dict[str, list[object]] = {"packets": [], "names": []}


@pytest.fixture(scope="module", params=["site", pytest.param("machine", marks=pytest.mark.deep)])
def told(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Of a site on PostgreSQL, and of one machine."""
    # Not below pytest's folder, which only its owner may enter: PostgreSQL runs as another account.
    folder = Path(tempfile.mkdtemp(prefix="muniment-cut-off-"))
    folder.chmod(0o755)
    command = [*COMMAND, sys.executable, "-m", "tests.security.main_job_cut_off", str(folder), request.param]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    yield dict(json.loads((folder / "told.json").read_text()))
    shutil.rmtree(folder, ignore_errors=True)


def test_the_main_job_is_done_without_a_network(told: dict[str, Any]) -> None:
    job = told["job"]
    assert job.pop("answer") in {"answered", "weak", "not_in_documents"}
    assert job == {"published": ["published"], "page": True, "picture": "image/png"}


def test_no_packet_leaves_and_no_name_is_asked_for(told: dict[str, Any]) -> None:
    assert told["left"] == NOTHING
    assert told["blocked"] == 0


@pytest.mark.parametrize("attempt", ["python", "python name"])
def test_a_planted_call_from_python_is_refused_before_anything_leaves(
    told: dict[str, Any], attempt: str
) -> None:
    tried = told["planted"][attempt]
    assert "Nothing leaves this installation" in tried.pop("ended")
    assert tried == NOTHING


def test_each_planted_call_from_python_leaves_an_event(told: dict[str, Any]) -> None:
    assert told["blocked_then"] == 2


@pytest.mark.parametrize(
    ("attempt", "packet"),
    [
        ("native in django", ["tcp", PUBLIC, PORT]),
        ("native tcp", ["tcp", PUBLIC, PORT]),
        ("native udp", ["udp", PUBLIC, 53]),
        ("version 6", ["tcp", "2001:db8::7", PORT]),
    ],
)
def test_a_planted_native_call_is_counted(told: dict[str, Any], attempt: str, packet: list[object]) -> None:
    """The control of the counter: past Python's tripwire, but not past the sink."""
    assert packet in told["planted"][attempt]["packets"]


def test_a_planted_question_for_a_name_is_counted(told: dict[str, Any]) -> None:
    tried = told["planted"]["native name"]
    assert set(tried["names"]) == {"native.example"} and tried["packets"] == []
    assert tried["ended"] == "exit 2"


def test_the_result_is_kept_and_the_report_shows_it(told: dict[str, Any]) -> None:
    report = told["report"]
    kept = report["egress_test"]
    assert (kept["packets"], kept["names"]) == (0, 0)
    assert kept["caught"] == kept["tried"] == len(told["planted"])
    assert report["blocked"]["attempts"] == 2 and report["walls"]["socket_refused"]
    assert {model["name"] for model in report["models"]} >= {"all-minilm-l6-v2"}
