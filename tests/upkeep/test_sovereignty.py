"""`manage.py sovereignty`: what it reports, that its file is signed, and what it refuses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from muniment import switches
from tests.factories import EGRESS_TEST
from tests.upkeep.installation import Installation
from workers.engines import catalogue
from workers.upkeep import bom


def reported(installation: Installation) -> dict[str, Any]:
    done = installation.manage("sovereignty", "report", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_it_reports(installation: Installation) -> None:
    report = reported(installation)
    assert report["switches"] == dict.fromkeys(switches.SWITCHES, True)
    assert report["peers"] == {}
    assert report["walls"]["socket_refused"] and report["walls"]["file_refused"]
    assert report["blocked"] == {"events": 0, "attempts": 0, "last": None}
    assert report["software"]["components"] > 50
    assert report["egress_test"] is None
    words = installation.manage("sovereignty", "report").stdout
    assert "never run here" in words and "none but this machine" in words


def test_the_file_is_signed_and_names_the_bill_beside_it(installation: Installation, tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    done = installation.manage("sovereignty", "report", target)
    assert done.returncode == 0, done.stderr
    key = (installation.data / "site.pub").read_text().strip()
    assert key in done.stdout
    checked = installation.manage("sovereignty", "check", target, "--key", key)
    assert "The signature is right" in checked.stdout, checked.stderr
    bill = (tmp_path / "report.txt.cdx.json").read_bytes()
    report = json.loads(target.read_text().rpartition("\n\n")[0])
    assert report["software"]["sha256"] == hashlib.sha256(bill).hexdigest()
    assert json.loads(bill)["specVersion"] == "1.6"
    action = "SELECT count(*) FROM audit_event WHERE action = 'sovereignty.reported'"
    assert installation.ask(action) == [(1,)]


def test_a_changed_file_is_refused(installation: Installation, tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    installation.manage("sovereignty", "report", target)
    target.write_text(target.read_text().replace('"attempts": 0', '"attempts": 1'))
    key = (installation.data / "site.pub").read_text().strip()
    checked = installation.manage("sovereignty", "check", target, "--key", key)
    assert checked.returncode == 1 and "was changed after signing" in checked.stderr


def test_without_a_usable_key_it_says_so(installation: Installation, tmp_path: Path) -> None:
    (installation.data / "site.key").write_text("nonsense")
    done = installation.manage("sovereignty", "report", tmp_path / "report.txt")
    assert done.returncode == 0 and "NOT signed" in done.stderr
    assert json.loads((tmp_path / "report.txt").read_text())["format"] == "muniment-sovereignty/1"


def test_a_test_result_is_kept(installation: Installation, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    result.write_text(json.dumps(EGRESS_TEST))
    assert installation.manage("sovereignty", "keep-test", result).returncode == 0
    assert reported(installation)["egress_test"] == EGRESS_TEST


WRONG = [[], {}, EGRESS_TEST | {"packets": "0"}, EGRESS_TEST | {"more": 1}]


@pytest.mark.parametrize("told", ["", *map(json.dumps, WRONG)])
def test_something_else_is_not_kept(installation: Installation, tmp_path: Path, told: str) -> None:
    result = tmp_path / "result.json"
    result.write_text(told)
    done = installation.manage("sovereignty", "keep-test", result)
    assert done.returncode == 1 and "not what the test writes" in done.stderr


def test_only_a_site_administrator_may(installation: Installation, tmp_path: Path) -> None:
    installation.change("UPDATE accounts_person SET roles = '[\"tenant_admin\"]'")
    done = installation.manage("sovereignty", "report", tmp_path / "report.txt", "--as", "admin")
    assert done.returncode == 1 and "Only a site administrator" in done.stderr
    assert not (tmp_path / "report.txt").exists()


def test_the_bill_of_the_same_things_is_the_same() -> None:
    models = catalogue.models()
    bill = bom.bill(models)
    assert bill == bom.bill(reversed(models))
    listed = {part["name"]: part for part in json.loads(bill)["components"]}
    assert listed["django"]["purl"].startswith("pkg:pypi/django@")
    assert listed[models[0].name]["hashes"] == [{"alg": "SHA-256", "content": models[0].sha256}]
    assert bill != bom.bill(models[1:])
