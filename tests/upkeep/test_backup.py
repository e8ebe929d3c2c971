"""A backup is whole although people work, and one that fails leaves nothing."""

from __future__ import annotations

import json
import resource
import tarfile
import time
from pathlib import Path

from tests.upkeep.conftest import DOCUMENTS
from tests.upkeep.installation import Installation
from workers import guard

HALF_PUBLISHED = """
    SELECT count(*) FROM documents_version v WHERE state = 'published'
    AND passage_count <> (SELECT count(*) FROM documents_passage p WHERE p.version_id = v.id)
"""


def manifest_of(backup: Path) -> dict[str, object]:
    with tarfile.open(backup) as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        return json.load(file)


def test_it_holds_the_database_and_every_original(backup_file: Path, seeded: Installation) -> None:
    with tarfile.open(backup_file) as tar:
        names = set(tar.getnames())
    originals = {f"blobs/{path}" for path in seeded.originals()}
    assert len(originals) == DOCUMENTS
    assert names == {"muniment.sqlite3", "manifest.json", "manifest.sha256", *originals}


def test_keys_lie_apart_for_their_owner_alone(backup_file: Path, seeded: Installation) -> None:
    keys = backup_file.with_name(backup_file.name + ".keys")
    secret = (seeded.data / "secret.key").read_text()
    code = (seeded.data / "audit.mac").read_text()
    assert json.loads(keys.read_text())["files"] == {"secret.key": secret, "audit.mac": code}
    assert keys.stat().st_mode & 0o777 == 0o600
    assert backup_file.stat().st_mode & 0o777 == 0o600
    content = backup_file.read_bytes()
    assert secret.encode() not in content
    assert code.strip().encode() not in content


def test_the_trail_says_before_and_after(installation: Installation, tmp_path: Path) -> None:
    assert installation.manage("backup", tmp_path / "b.tar").returncode == 0
    events = installation.ask(
        "SELECT stage, outcome FROM audit_event WHERE action='backup.made' ORDER BY rowid"
    )
    assert events == [("intent", "pending"), ("outcome", "done")]


def test_it_is_whole_while_people_write(
    installation: Installation, empty: Installation, tmp_path: Path
) -> None:
    until, target = tmp_path / "enough", tmp_path / "b.tar"
    writer = installation.seed("write", until)
    while installation.count("documents_document") < DOCUMENTS + 3:
        assert writer.poll() is None
        time.sleep(0.05)
    before = installation.count("documents_document")
    made = installation.manage("backup", target)
    after = installation.count("documents_document")
    until.touch()
    assert writer.wait(timeout=60) == 0
    assert made.returncode == 0, made.stderr
    assert after > before, "nobody wrote meanwhile"

    assert manifest_of(target)["missing"] == manifest_of(target)["damaged"] == []
    assert empty.manage("restore", target).returncode == 0
    assert before <= empty.count("documents_document") <= after
    assert empty.ask("PRAGMA integrity_check") == [("ok",)]
    needed = {row[0] for row in empty.ask("SELECT sha256 FROM documents_version")}
    assert {Path(path).name for path in empty.originals()} == needed
    assert all(Path(path).name == sha256 for path, sha256 in empty.originals().items())
    assert empty.ask(HALF_PUBLISHED) == [(0,)]


def test_an_older_backup_is_not_overwritten_unasked(installation: Installation, backup_file: Path) -> None:
    before = backup_file.read_bytes()
    refused = installation.manage("backup", backup_file)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert backup_file.read_bytes() == before
    assert installation.manage("backup", backup_file, "--force").returncode == 0
    assert backup_file.read_bytes() != before


def test_an_original_that_is_gone_is_noted(installation: Installation, tmp_path: Path) -> None:
    lost = next(iter(installation.originals()))
    (installation.data / "blobs" / lost).unlink()
    made = installation.manage("backup", tmp_path / "b.tar")
    assert made.returncode == 0
    assert lost in made.stderr
    assert manifest_of(tmp_path / "b.tar")["missing"] == [f"blobs/{lost}"]


def test_an_original_with_other_bytes_is_noted(installation: Installation, tmp_path: Path) -> None:
    changed = next(iter(installation.originals()))
    (installation.data / "blobs" / changed).write_bytes(b"other bytes")
    assert installation.manage("backup", tmp_path / "b.tar").returncode == 0
    assert manifest_of(tmp_path / "b.tar")["damaged"] == [f"blobs/{changed}"]


def test_a_full_disk_leaves_nothing_half_done(installation: Installation, tmp_path: Path) -> None:
    target = tmp_path / "there" / "b.tar"
    target.parent.mkdir()
    room = installation.database.stat().st_size + 200_000
    big = next(iter(installation.originals()))
    (installation.data / "blobs" / big).write_bytes(bytes(room))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The command inherits it: the snapshot still fits, the archive does not.
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        failed = installation.manage("backup", target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed.returncode == 1
    assert "not enough room" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert list(target.parent.iterdir()) == []
    assert not (installation.data / "backup.sqlite3").exists()
    assert installation.ask("SELECT outcome FROM audit_event ORDER BY rowid DESC LIMIT 1") == [("failed",)]


def test_what_a_killed_backup_left_is_begun_again(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "b.tar.part").write_bytes(b"half" * 1000)
    (installation.data / "backup.sqlite3").write_bytes(b"half" * 1000)
    assert installation.manage("backup", tmp_path / "b.tar").returncode == 0
    assert manifest_of(tmp_path / "b.tar")["format"] == 1
    assert not (tmp_path / "b.tar.part").exists()
    assert not (installation.data / "backup.sqlite3").exists()


def test_one_at_a_time(installation: Installation, tmp_path: Path) -> None:
    with guard.hold(installation.data / "backup.lock"):
        refused = installation.manage("backup", tmp_path / "b.tar")
    assert refused.returncode == 1
    assert "wait for it" in refused.stderr


def test_where_there_is_nothing_yet_it_says_so(empty: Installation, tmp_path: Path) -> None:
    refused = empty.manage("backup", tmp_path / "b.tar")
    assert refused.returncode == 1
    assert "manage.py doctor" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_only_a_site_administrator_makes_one(installation: Installation, tmp_path: Path) -> None:
    installation.change("UPDATE accounts_person SET roles = '[\"staff\"]'")
    refused = installation.manage("backup", tmp_path / "b.tar", "--as", "admin")
    assert refused.returncode == 1
    assert "site administrator" in refused.stderr
    assert not (tmp_path / "b.tar").exists()
