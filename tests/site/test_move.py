"""A move from one machine to a site loses nothing, mixes nothing, and can be broken off anywhere."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import pytest
from django.db import connection

from tests.factories import PASSWORD
from tests.postgres import Cluster
from tests.running import RunningHouse
from tests.site.old_house import OLD_SENTENCE, QUESTION
from tests.upkeep.installation import ROOT, Installation
from workers.upkeep.tables import STAYING, moving, table

# It has databases of its own, whatever the other tests use.
pytestmark = pytest.mark.skipif(connection.vendor == "postgresql", reason="the run on SQLite tests it")
MOVED = sorted(table(model) for model in moving())


@dataclass(frozen=True)
class Site:
    """An empty database of a site, and the folder of its data."""

    cluster: Cluster
    database: str
    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def environment(self, role: str) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "workers.settings",
            "MUNIMENT_DATA": str(self.data),
            "MUNIMENT_RUN": str(self.folder / "run"),
            "MUNIMENT_DATABASE_URL": self.cluster.url(role, self.database),
            "MUNIMENT_FREE_DISK_MB": "50",
            "MUNIMENT_LOG": "ERROR",
        }

    def start_move(
        self, folder: Path, *more: str, role: str = "muniment_owner", **changed: str
    ) -> subprocess.Popen[str]:
        command = [sys.executable, "manage.py", "move-to-site", str(folder), *more]
        environment = self.environment(role) | changed
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)

    def move(self, old: Installation, *more: str, **changed: str) -> str:
        with self.start_move(old.data, *more, **changed) as process:
            said, wrong = process.communicate(timeout=120)
        assert process.returncode == 0, wrong
        return said

    def refuse(self, old: Installation, *more: str, **changed: str) -> str:
        """Why a move was refused; nothing of it is seen at the site."""
        before = old.everything()
        with self.start_move(old.data, *more, **changed) as process:
            _said, wrong = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "Traceback" not in wrong
        assert str(old.data) not in wrong
        assert not (self.data / "moving").exists()
        assert old.everything() == before
        return wrong

    def ask(self, query: str) -> list[str]:
        """Rows as psql prints them, columns parted by |; as the superuser, past every wall."""
        where = {"host": str(self.cluster.folder), "dbname": self.database, "user": "postgres"}
        with psycopg.connect(**where, autocommit=True) as server:
            done = server.execute(query)
            return ["|".join(map(str, row)) for row in done.fetchall()] if done.description else []

    def counts(self) -> dict[str, int]:
        names = self.ask(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        each = [f"SELECT '{name}', count(*) FROM {name}" for name in names]  # noqa: S608 - its tables
        rows = (line.split("|") for line in self.ask(" UNION ALL ".join(each)))
        return {name: int(count) for name, count in rows}

    def is_empty(self) -> bool:
        counts = self.counts()
        return not any(counts[name] for name in MOVED)

    def originals(self) -> dict[str, str]:
        return Installation(self.data, self.folder).originals()


@contextmanager
def held_half_way(target: Site, old: Installation) -> Iterator[subprocess.Popen[str]]:
    """A move that stands still in the middle of its rows, until this ends: passages are read, not written."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'documents_passage'::regclass"
    where = {"host": str(target.cluster.folder), "dbname": target.database}
    with closing(psycopg.connect(user="postgres", **where)) as other:
        other.execute("LOCK TABLE documents_passage IN SHARE MODE")
        process = target.start_move(old.data)
        until = time.monotonic() + 60
        while target.ask(waiting) == ["0"]:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process
        other.rollback()


@pytest.fixture
def target(cluster: Cluster, empty_site: str, tmp_path: Path) -> Site:
    return Site(cluster, empty_site, tmp_path / "site")


@pytest.fixture
def old(old_house: Installation, tmp_path: Path) -> Installation:
    """A copy that a test may spoil."""
    made = Installation(tmp_path / "old", tmp_path / "old-run")
    shutil.copytree(old_house.data, made.data)
    made.run.mkdir(mode=0o700)
    return made


def test_every_table_is_moved_or_says_why_not(old_house: Installation) -> None:
    tables = {name for (name,) in old_house.ask("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables - {"sqlite_sequence"} == set(MOVED) | set(STAYING)
    assert not set(MOVED) & set(STAYING)
    for name in MOVED:
        assert old_house.count(name), (
            f"{name} would not be tried here: give tests/site/old_house.py a row for it"
        )


@pytest.fixture(scope="module")
def said(moved: Site, old_house: Installation) -> str:
    return (moved.folder / "said").read_text()


@pytest.fixture(scope="module")
def moved(
    cluster: Cluster, old_house: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("moved")
    cluster.sql("CREATE DATABASE moved TEMPLATE untouched OWNER muniment_owner")
    site = Site(cluster, "moved", folder)
    before = old_house.everything()
    (folder / "said").write_text(site.move(old_house))
    assert old_house.everything() == before, "the old folder is only read"
    yield site
    cluster.sql("DROP DATABASE moved WITH (FORCE)")


@pytest.fixture(scope="module")
def running(moved: Site) -> Iterator[RunningHouse]:
    url = moved.cluster.url("muniment_worker", moved.database)
    house = RunningHouse(moved.folder, MUNIMENT_DATABASE_URL=url)
    house.passwords = dict.fromkeys(("ada", "ada-reader", "ada-officer", "berta-reader"), PASSWORD)
    house.start()
    yield house
    house.stop()


def test_every_table_has_as_many_rows_and_the_new_ones_are_told(
    moved: Site, old_house: Installation, said: str
) -> None:
    counts = moved.counts()
    new = {"audit_event": 1, "audit_private": 1, "audit_subject": 0, "jobs_job": 2}
    for name in MOVED:
        assert counts[name] - new.get(name, 0) == old_house.count(name), name
        assert re.search(rf"^  {name} +{old_house.count(name)}  [0-9a-f]{{16}}$", said, re.MULTILINE), name


def test_what_belongs_to_the_machine_stays(moved: Site) -> None:
    counts = moved.counts()
    for name in ("django_session", "accounts_failedsignin", "documents_upload", "registry_engine"):
        assert counts[name] == 0, name


def test_events_are_the_same_bytes(moved: Site, old_house: Installation) -> None:
    query = "SELECT {} FROM audit_event ORDER BY 1"
    before = old_house.ask(query.format("lower(hex(event_id)), lower(hex(body)), lower(hex(leaf_hash))"))
    event = "replace(event_id::text, '-', '')"
    after = moved.ask(
        query.format(
            f"encode(convert_to({event}, 'UTF8'), 'hex'), encode(body, 'hex'), encode(leaf_hash, 'hex')"
        )
    )
    missing = {"|".join(row) for row in before} - set(after)
    assert before and not missing
    assert len(after) == len(before) + 1


def test_times_are_what_they_were(moved: Site, old_house: Installation) -> None:
    changed = "SELECT {} FROM conversations_conversation ORDER BY 1"
    before = [row for (row,) in old_house.ask(changed.format("changed_at"))]
    utc = "to_char(changed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
    assert moved.ask(changed.format(utc)) == before


def test_originals_are_there_and_whole(moved: Site, old_house: Installation) -> None:
    needed = {
        f"{tenant[:8]}-{tenant[8:12]}-{tenant[12:16]}-{tenant[16:20]}-{tenant[20:]}/{sha256}": sha256
        for tenant, sha256 in old_house.ask(
            "SELECT DISTINCT tenant, sha256 FROM documents_version WHERE state <> 'deleted'"
        )
    }
    assert moved.originals() == needed
    assert len(needed) == 8


def test_work_in_progress_waits_for_the_site_and_everything_is_indexed(moved: Site) -> None:
    assert moved.ask("SELECT count(*) FROM jobs_job WHERE state = 'running' OR lease_owner <> ''") == ["0"]
    kinds = moved.ask("SELECT kind, count(*) FROM jobs_job WHERE state = 'ready' GROUP BY 1 ORDER BY 1")
    assert kinds == ["ingest|2", "reindex|2", "remove|2"]


def test_the_trail_says_who_moved_it_and_what(moved: Site, said: str) -> None:
    events = moved.ask(
        "SELECT convert_from(body, 'UTF8') FROM audit_event WHERE action = 'installation.moved'"
    )
    assert len(events) == 1
    (told,) = re.findall(r"trail: ([0-9a-f]{64})", said)
    assert told in events[0]
    assert '"kind":"cli"' in events[0]
    assert '"ada' not in events[0]


def test_it_tells_what_to_do_next(said: str) -> None:
    assert "1 uploads were on their way" in said
    assert "All sign in again" in said
    assert "2 documents are then indexed again" in said


def test_a_site_that_is_in_use_is_never_mixed(moved: Site, old_house: Installation) -> None:
    before = moved.counts()
    assert "in use already" in moved.refuse(old_house)
    assert moved.counts() == before


def test_people_go_on_at_the_site_where_they_were(
    running: RunningHouse, moved: Site, old_house: Installation
) -> None:
    published = "SELECT v.id FROM documents_version v JOIN documents_document d ON v.id = d.current_id"
    ((version,),) = old_house.ask(f"{published} WHERE d.name = 'ada.pdf'")
    with closing(running.client("ada-reader")) as client:
        until = time.monotonic() + 120
        while moved.ask("SELECT DISTINCT state FROM jobs_job WHERE kind = 'reindex'") != ["done"]:
            assert time.monotonic() < until
            time.sleep(0.2)
        found = client.get("/search", params={"q": "old pump of the mill"}).text
        assert "ada.pdf" in found
        assert OLD_SENTENCE in re.sub(r"<[^>]+>", "", found)
        history = client.get("/conversations/").text
        (conversation,) = set(re.findall(r"/conversations/([0-9a-f-]{36})", history))
        shown = client.get(f"/conversations/{conversation}/").text
        assert QUESTION in shown
        assert "On the first Tuesday of May" in shown
        original = client.get(f"/documents/{UUID(version)}/original")
        assert OLD_SENTENCE.encode() in original.content
    with closing(running.client("ada-officer")) as client:
        assert QUESTION in events_of(client, "question.asked")
        assert "Handbook" in events_of(client, "library.created")
        assert "moved an installation to the site" in events_of(client, "installation.moved")


def events_of(client: httpx.Client, action: str) -> str:
    """The rows that an officer sees, without the filter above them."""
    page = client.get("/desk/trail", params={"action": action}).text
    return page.partition("<tbody")[2].partition("</tbody>")[0]


def test_a_tenant_still_sees_its_own_alone(running: RunningHouse) -> None:
    with closing(running.client("berta-reader")) as client:
        found = client.get("/search", params={"q": "old pump of the mill"}).text
        assert "ada.pdf" not in found
        assert "Only ada knows" not in found


def test_new_rows_get_numbers_of_their_own(moved: Site, running: RunningHouse) -> None:
    """Signing in wrote events with personal values, whose numbers come from a sequence."""
    numbered = moved.ask(
        "SELECT c.table_name FROM information_schema.columns c"
        " WHERE c.table_schema = 'public' AND c.is_identity = 'YES' AND c.column_name = 'id'"
    )
    checked = set(numbered) & set(MOVED)
    assert checked >= {"audit_private", "audit_subject", "documents_page", "conversations_source"}
    for name in checked:
        (last,) = moved.ask(f"SELECT max(id) FROM {name}")  # noqa: S608 - the site's tables
        (upcoming,) = moved.ask(f"SELECT nextval(pg_get_serial_sequence('{name}', 'id'))")
        assert int(upcoming) > int(last), name


def test_what_a_killed_process_left_in_the_log_is_moved(target: Site, old: Installation) -> None:
    """The database alone, without the log beside it, would be an hour old."""
    code = (
        "import os, sqlite3; c = sqlite3.connect('muniment.sqlite3');"
        "c.execute('PRAGMA journal_mode=WAL');"
        "c.execute(\"UPDATE tenancy_tenant SET name = 'Renamed late'\"); c.commit(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=old.data, check=False)
    assert (old.data / "muniment.sqlite3-wal").stat().st_size
    target.move(old)
    assert target.ask("SELECT DISTINCT name FROM tenancy_tenant") == ["Renamed late"]


def test_killed_half_way_it_leaves_nothing_and_begins_anew(target: Site, old: Installation) -> None:
    with held_half_way(target, old) as process:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)
    assert target.is_empty()
    assert (target.data / "moving").exists()
    target.move(old)
    assert not (target.data / "moving").exists()
    assert target.counts()["documents_passage"] == old.count("documents_passage")


@pytest.mark.deep
def test_two_moves_at_once_are_one(target: Site, old: Installation, tmp_path: Path) -> None:
    elsewhere = Site(target.cluster, target.database, tmp_path / "elsewhere")
    with held_half_way(target, old) as first:
        with target.start_move(old.data) as second:
            assert "Another move is on its way" in second.communicate(timeout=60)[1]
        third = elsewhere.start_move(old.data)
        while target.ask("SELECT count(*) FROM pg_locks WHERE NOT granted") != ["2"]:
            assert third.poll() is None
            time.sleep(0.05)
    assert first.wait(timeout=60) == 0
    assert "in use already" in third.communicate(timeout=60)[1]


def test_originals_that_came_already_are_not_copied_again(target: Site, old: Installation) -> None:
    needed = "SELECT sha256 FROM documents_version WHERE state = 'published'"
    whole, torn = (next(path for path in old.originals() if sha256 in path) for (sha256,) in old.ask(needed))
    for name in (whole, torn):
        (target.data / "blobs" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(old.data / "blobs" / name, target.data / "blobs" / name)
    with (target.data / "blobs" / torn).open("r+b") as file:
        file.truncate(3)
    first = (target.data / "blobs" / whole).stat().st_ino
    assert "7 of them came now" in target.move(old)
    assert (target.data / "blobs" / whole).stat().st_ino == first
    assert target.originals().items() <= old.originals().items()


def test_it_waits_for_nobody_who_runs(target: Site, old: Installation) -> None:
    with (old.data / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "still runs" in target.refuse(old)
    assert target.is_empty()


@pytest.mark.deep
def test_a_write_to_the_old_database_meanwhile_stops_it(target: Site, old: Installation) -> None:
    with held_half_way(target, old) as process:
        old.change("UPDATE tenancy_tenant SET name = 'Changed meanwhile'")
    _said, wrong = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "still runs" in wrong
    assert target.is_empty()


@pytest.mark.parametrize("role", ["muniment_worker", pytest.param("postgres", marks=pytest.mark.deep)])
def test_only_the_owner_of_the_tables_moves(target: Site, old: Installation, role: str) -> None:
    assert "muniment_owner" in target.refuse(old, role=role)
    assert target.is_empty()


def test_without_a_server_there_is_no_site(target: Site, old: Installation) -> None:
    assert "MUNIMENT_DATABASE_URL" in target.refuse(old, MUNIMENT_DATABASE_URL="")


@pytest.mark.deep
def test_a_database_that_is_away_is_a_sentence(target: Site, old: Installation) -> None:
    url = f"postgresql://muniment_owner@/muniment?host={target.folder}"
    assert "does not answer" in target.refuse(old, MUNIMENT_DATABASE_URL=url)


@pytest.mark.deep
def test_a_site_that_was_not_migrated_is_told_to(target: Site, old: Installation) -> None:
    target.ask("DELETE FROM django_migrations WHERE app = 'registry'")
    assert "manage.py migrate" in target.refuse(old)


def test_a_folder_without_an_installation(target: Site, old: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    assert "no installation in this folder" in target.refuse(Installation(folder, folder))
    (folder / "muniment.sqlite3").touch()
    assert "its database is empty" in target.refuse(Installation(folder, folder))
    (folder / "muniment.sqlite3").write_bytes(b"no database at all" * 1000)
    assert "damaged" in target.refuse(Installation(folder, folder))


def test_an_older_and_a_newer_installation_are_told_what_to_do(target: Site, old: Installation) -> None:
    old.change("DELETE FROM django_migrations WHERE name = '0002_report'")
    assert "start it once with this version" in target.refuse(old)
    old.change(
        "INSERT INTO django_migrations (app, name, applied) VALUES ('registry', '0002_report', 0), "
        "('jobs', '0099_later', 0)"
    )
    assert "install that version at the site" in target.refuse(old)


def test_originals_that_are_lost_are_named_by_their_versions(target: Site, old: Installation) -> None:
    (gone, here), (changed, there) = old.ask(
        "SELECT id, sha256 FROM documents_version WHERE state IN ('failed', 'reading') LIMIT 2"
    )
    next((old.data / "blobs").glob(f"*/{here}")).unlink()
    next((old.data / "blobs").glob(f"*/{there}")).write_bytes(b"other bytes")
    said = target.refuse(old)
    assert "2 originals are missing or damaged" in said
    assert {gone, changed} == {found.replace("-", "") for found in re.findall(r"[0-9a-f-]{36}", said)}
    assert target.is_empty()


def test_what_postgresql_refuses_is_found_first_and_named(target: Site, old: Installation) -> None:
    (document,) = old.ask("SELECT id FROM documents_document WHERE current_id NOT NULL LIMIT 1")[0]
    (version,) = old.ask("SELECT id FROM documents_version WHERE document_id = ? AND number = 2", document)[0]
    long, half, nul = "x" * 300, r'["\ud800"]', r'["\u0000"]'
    old.change("UPDATE documents_document SET name = ? WHERE id = ?", long, document)
    old.change("UPDATE documents_version SET warnings = ? WHERE id = ?", half, version)
    old.change("UPDATE documents_page SET blocks = ? WHERE version_id = ? AND number = 1", nul, version)
    old.change("UPDATE documents_page SET start = ? WHERE version_id = ? AND number = 2", 3 * 10**9, version)
    old.change("UPDATE documents_passage SET text = ? WHERE version_id = ? AND ordinal = 1", "a\0", version)
    said = target.refuse(old)
    assert {found.replace("-", "") for found in re.findall(r"document ([0-9a-f-]{36})", said)} == {document}
    fields = re.findall(r"\((\w+)\)", said)
    assert sorted(fields) == ["blocks", "name", "start", "text", "warnings"]
    assert target.is_empty()
    assert not target.originals()


@pytest.mark.deep
def test_a_value_that_cannot_be_read_is_a_sentence(target: Site, old: Installation) -> None:
    old.change("UPDATE conversations_turn SET intent = 'half'")
    assert "cannot be read" in target.refuse(old)


@pytest.mark.deep
def test_a_full_disk_is_a_sentence_and_can_be_begun_again(target: Site, old: Installation) -> None:
    big = old.data / "blobs" / sorted(old.originals())[0]
    room = old.database.stat().st_size + 100_000
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    keep = big.read_bytes()
    big.write_bytes(bytes(room + 100_000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        said = target.refuse(old)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "not enough room" in said
    assert target.is_empty()
    big.write_bytes(keep)
    target.move(old)


@pytest.mark.deep
def test_too_little_room_is_told_before_anything_is_copied(target: Site, old: Installation) -> None:
    assert "make room" in target.refuse(old, MUNIMENT_FREE_DISK_MB="100000000")
    assert not target.originals()


@pytest.mark.parametrize("name", ["berta", pytest.param("nobody", marks=pytest.mark.deep)])
def test_only_a_site_administrator_of_the_old_installation_moves_it(
    target: Site, old: Installation, name: str
) -> None:
    assert "site administrator" in target.refuse(old, "--as", name)
    assert target.is_empty()
