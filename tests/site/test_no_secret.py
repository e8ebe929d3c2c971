"""No secret of a site is in a log, a list of processes, an error, a report or the trail."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import psutil
import pytest

from tests.running import ROOT
from tests.running_site import RunningSite
from tests.supervisor.conftest import eventually

OTHER = "Zq8-wrong-secret-that-is-long-enough-1"


@pytest.fixture(scope="module")
def secrets(site: RunningSite) -> dict[str, str]:
    """Every secret by name, and one that was given by mistake."""
    found = {path.name: path.read_text().strip() for path in site.secrets.iterdir()}
    return {**found, "a wrong one": OTHER}


@pytest.fixture(scope="module")
def provoked(site: RunningSite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What people and administrators are told while things fail, by where it was said."""
    other = tmp_path_factory.mktemp("wrong") / "secret"
    other.write_text(OTHER)
    wrong = ("MUNIMENT_DATABASE_PASSWORD_FILE", "MUNIMENT_BROKER_PASSWORD_FILE")
    told = {name: site.refusal("web", **{name: str(other)}) for name in wrong}
    told["doctor"] = doctor(site, MUNIMENT_LOG="DEBUG", MUNIMENT_INDEX_KEY_FILE=str(other))
    with closing(site.client("admin")) as client:
        for path in ("/health", "/console/", "/console/sovereignty", "/no-such-page"):
            told[path] = client.get(path).text
        with site.without_broker():
            asked = site.post(client, "/ask", question="Is anybody there while the broker is away?")
            told["without broker"] = asked.text + client.get("/search", params={"q": "boiler"}).text
        eventually(lambda: "<mark>" in client.get("/search", params={"q": "leave"}).text, seconds=60)
    told["sovereignty"] = site.manage("sovereignty", "report", "--json").stdout
    return told


def doctor(site: RunningSite, **changed: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=site.environment | changed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def leaked(secrets: dict[str, str], text: str) -> list[str]:
    """The names of secrets that are in a text, also as a database writes bytes."""
    return [name for name, secret in secrets.items() if secret in text or secret.encode().hex() in text]


def test_a_leak_would_be_noticed(secrets: dict[str, str]) -> None:
    for name, secret in secrets.items():
        assert leaked(secrets, f"redis://web:{secret}@valkey") == [name]
        assert leaked(secrets, rf"\x{secret.encode().hex()}") == [name]


def test_nobody_is_told_one(provoked: dict[str, str], secrets: dict[str, str]) -> None:
    assert "does not accept our key" in provoked["doctor"]
    assert {where: found for where, text in provoked.items() if (found := leaked(secrets, text))} == {}


def test_no_log_has_one(provoked: dict[str, str], site: RunningSite, secrets: dict[str, str]) -> None:
    logs = [*site.folder.rglob("*.log"), site.folder / "proxy" / "log"]
    assert {"web.log", "answer.log", "upkeep.log", "valkey.log", "server.log"} <= {log.name for log in logs}
    assert "ConnectionError" in "".join(log.read_text() for log in logs), "no failure was provoked"
    assert {log.name: found for log in logs if (found := leaked(secrets, log.read_text()))} == {}


def processes_of(site: RunningSite) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if str(site.folder) in " ".join([*process.cmdline(), *process.environ().values()]):
                yield process
        except psutil.Error:
            continue


def test_no_process_shows_one(site: RunningSite, secrets: dict[str, str]) -> None:
    for process in psutil.process_iter(["cmdline"]):
        assert leaked(secrets, " ".join(process.info["cmdline"] or [])) == []
    found = list(processes_of(site))
    assert len(found) > 12, found
    # Qdrant takes its keys from its environment only, which nobody but its account can read.
    ours = [process for process in found if "tests.keyed_index" not in process.cmdline()]
    shown = {process.pid: leaked(secrets, " ".join(process.environ().values())) for process in ours}
    assert {pid: names for pid, names in shown.items() if names} == {}


def test_no_row_has_one(provoked: dict[str, str], site: RunningSite, secrets: dict[str, str]) -> None:
    dumped = site.cluster.dump("muniment")
    assert b"question.asked".hex() in dumped
    assert leaked(secrets, dumped) == []


def test_no_file_that_a_part_wrote_has_one(
    provoked: dict[str, str], site: RunningSite, secrets: dict[str, str]
) -> None:
    written = [path for where in (site.data, site.run) for path in where.rglob("*")]
    written += [path for path in (site.folder / "valkey").rglob("*") if path.parent.name != "secrets"]
    assert any(path.suffix == ".acl" for path in written)
    for path in (path for path in written if path.is_file()):
        assert leaked(secrets, path.read_bytes().decode(errors="replace")) == [], path


def test_the_database_keeps_no_password_that_can_be_read(site: RunningSite, secrets: dict[str, str]) -> None:
    kept = site.cluster.sql("SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'muniment%'")
    assert len(re.findall(r"SCRAM-SHA-256\$", kept)) == 4
    assert leaked(secrets, kept) == []
