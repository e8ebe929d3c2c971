"""A restored installation equals the one that was backed up; a doubtful file changes nothing."""

from __future__ import annotations

import io
import random
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.upkeep.conftest import DOCUMENTS
from tests.upkeep.installation import Installation
from workers import guard
from workers.upkeep.archive import unpack
from workers.upkeep.errors import BackupDamaged

TABLES = ("documents_document", "documents_version", "documents_passage", "documents_page", "accounts_person")


def test_an_empty_folder_becomes_what_was_backed_up(
    backup_file: Path, seeded: Installation, empty: Installation
) -> None:
    restored = empty.manage("restore", backup_file)
    assert restored.returncode == 0, restored.stderr
    assert {table: empty.count(table) for table in TABLES} == {t: seeded.count(t) for t in TABLES}
    assert empty.originals() == seeded.originals()
    assert (empty.data / "secret.key").read_text() == (seeded.data / "secret.key").read_text()
    assert (empty.data / "secret.key").stat().st_mode & 0o777 == 0o600
    assert empty.ask("PRAGMA integrity_check") == [("ok",)]
    assert not (empty.data / "restoring").exists()


def test_sessions_end_the_trail_knows_and_documents_are_indexed_again(
    backup_file: Path, seeded: Installation, empty: Installation
) -> None:
    assert seeded.count("django_session") == 1
    said = empty.manage("restore", backup_file).stdout
    assert empty.count("django_session") == 0
    events = empty.ask("SELECT outcome FROM audit_event WHERE action='backup.restored'")
    assert events == [("done",)]
    jobs = empty.ask("SELECT state FROM jobs_job WHERE kind='reindex'")
    assert jobs == [("ready",)] * DOCUMENTS
    assert f"{DOCUMENTS} documents" in said
    assert empty.ask("SELECT DISTINCT state FROM documents_version") == [("published",)]


def test_without_keys_it_goes_on_with_its_own(backup_file: Path, empty: Installation) -> None:
    backup_file.with_name(backup_file.name + ".keys").unlink()
    restored = empty.manage("restore", backup_file)
    assert restored.returncode == 0
    assert "goes on with its own" in restored.stdout


def test_keys_of_another_backup_are_refused(backup_file: Path, empty: Installation) -> None:
    with backup_file.open("ab") as file:
        file.write(bytes(512))
    refused = empty.manage("restore", backup_file)
    assert refused.returncode == 1
    assert "keys belong to another backup" in refused.stderr
    assert not empty.database.exists()


def test_an_older_backup_is_brought_up_to_this_version(
    installation: Installation, empty: Installation, tmp_path: Path
) -> None:
    assert installation.manage("migrate", "registry", "0001").returncode == 0
    assert installation.manage("backup", tmp_path / "b.tar").returncode == 0
    assert empty.manage("restore", tmp_path / "b.tar").returncode == 0
    assert empty.count("registry_check") == 0


def test_a_newer_backup_is_refused(installation: Installation, empty: Installation, tmp_path: Path) -> None:
    installation.change("INSERT INTO django_migrations (app, name, applied) VALUES ('jobs', '0099_later', 0)")
    assert installation.manage("backup", tmp_path / "b.tar").returncode == 0
    refused = empty.manage("restore", tmp_path / "b.tar")
    assert refused.returncode == 1
    assert "newer" in refused.stderr
    assert not empty.database.exists()


def test_it_waits_for_nobody_who_runs(backup_file: Path, installation: Installation) -> None:
    before = installation.everything()
    for lock in (installation.data / "lock", installation.run / "web.lock"):
        with guard.hold(lock):
            refused = installation.manage("restore", backup_file, "--force")
        assert refused.returncode == 1
        assert "already runs" in refused.stderr
        assert installation.everything() == before


def test_data_that_is_there_is_kept_unless_forced(
    backup_file: Path, installation: Installation, empty: Installation
) -> None:
    before = installation.everything()
    refused = installation.manage("restore", backup_file)
    assert refused.returncode == 1
    assert "--force" in refused.stderr
    assert installation.everything() == before

    assert installation.manage("restore", backup_file, "--force").returncode == 0
    (aside,) = installation.data.glob("before-restore-*")
    assert Installation(aside, aside).originals() == installation.originals()
    assert (aside / "muniment.sqlite3").read_bytes() == before["muniment.sqlite3"]


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
def test_a_cut_file_is_refused_with_nothing_changed(
    backup_file: Path, empty: Installation, part: float
) -> None:
    whole = backup_file.read_bytes()
    backup_file.write_bytes(whole[: int(len(whole.rstrip(b"\0")) * part)])
    refuse(empty, backup_file)


def test_a_changed_byte_is_refused_with_nothing_changed(backup_file: Path, empty: Installation) -> None:
    content = bytearray(backup_file.read_bytes())
    content[len(content) // 3] ^= 1
    backup_file.write_bytes(content)
    refuse(empty, backup_file)


def refuse(empty: Installation, backup: Path) -> None:
    refused = empty.manage("restore", backup)
    assert refused.returncode == 1
    assert "Nothing was touched" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert set(empty.everything()) <= {"secret.key"}


def test_wherever_a_byte_changes_the_content_is_never_another(kept_backup: Path, tmp_path: Path) -> None:
    """Most changes are refused; the rest hit what a tar leaves unused and change no file's content."""
    whole = kept_backup.read_bytes()
    wanted = unpack(kept_backup, tmp_path / "wanted")[0]
    at = random.Random(7)
    # Headers and manifest are where a change could do more than spoil a hash.
    end = len(whole.rstrip(b"\0"))
    places = [at.randrange(512) for _ in range(30)] + [end - at.randrange(4000) for _ in range(60)]
    refused = 0
    for number, place in enumerate(places):
        changed = bytearray(whole)
        changed[place] ^= 1 << at.randrange(8)
        file, folder = tmp_path / "changed.tar", tmp_path / f"out-{number}"
        file.write_bytes(changed)
        try:
            assert unpack(file, folder)[0] == wanted
        except BackupDamaged:
            refused += 1
        shutil.rmtree(folder, ignore_errors=True)
    assert refused > len(places) / 2


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def plain(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = 4
    return info


BLOB = "blobs/00000000-0000-4000-8000-000000000000/" + "a" * 64


@pytest.mark.parametrize(
    "member",
    [
        plain("../escaped"),
        plain("/tmp/escaped"),
        plain("blobs/../../escaped"),
        plain("lock"),
        plain(BLOB + "/more"),
        plain(BLOB.replace("a" * 64, "A" * 64)),
        plain("muniment.sqlite3"),
        link(BLOB, "/etc/passwd", tarfile.SYMTYPE),
        link(BLOB, "muniment.sqlite3", tarfile.LNKTYPE),
        link(BLOB, "", tarfile.FIFOTYPE),
        link("blobs", "", tarfile.DIRTYPE),
    ],
    ids=lambda member: f"{member.name[:20]}-{member.type.decode()}",
)
def test_nothing_but_plain_files_of_known_names_is_taken(
    kept_backup: Path, tmp_path: Path, member: tarfile.TarInfo
) -> None:
    file = tmp_path / "strange.tar"
    insert(kept_backup, file, lambda tar: tar.addfile(member, io.BytesIO(b"evil"[: member.size])))
    with pytest.raises(BackupDamaged):
        unpack(file, tmp_path / "out")
    assert not (tmp_path / "escaped").exists()
    assert not Path("/tmp/escaped").exists()


def test_an_original_that_the_manifest_does_not_name_is_refused(kept_backup: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.tar"
    insert(kept_backup, file, lambda tar: tar.addfile(plain(BLOB), io.BytesIO(b"evil")))
    with pytest.raises(BackupDamaged):
        unpack(file, tmp_path / "out")


def insert(source: Path, target: Path, add: Callable[[tarfile.TarFile], None]) -> None:
    """A copy of the backup with something more before its manifest."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            if member.name == "manifest.json":
                add(new)
            new.addfile(member, old.extractfile(member))
