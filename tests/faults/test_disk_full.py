"""A disk that fills while people upload: a sentence, nothing lost, and it goes on once there is room."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest
from django.db import OperationalError
from django.test import RequestFactory

from muniment.accounts.problems import fault
from muniment.documents import blobs, uploads
from muniment.documents.errors import NoRoom
from muniment.documents.models import Upload
from tests.factories import make_library, make_person, make_tenant, scope_for
from tests.faults.look import CHUNK, Site
from tests.running import ROOT, RunningHouse

SIZE = 24 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own. Mounting one takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "none", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a disk is not permitted here")  # the last test stands in for these
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def site(disk: Path) -> Iterator[Site]:
    """The web process alone, its data on the small disk."""
    house = RunningHouse(disk, MUNIMENT_FREE_DISK_MB="0")
    house.prepare()
    web = subprocess.Popen(
        [sys.executable, "manage.py", "up", "web"], cwd=ROOT, env=house.environment, stdout=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 60
        while True:
            try:
                httpx.get(house.url + "/health")
                break
            except httpx.TransportError:
                assert time.monotonic() < until and web.poll() is None
                time.sleep(0.1)
        yield Site(house)
    finally:
        web.terminate()
        web.wait(timeout=30)


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all room but `leave` bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - leave))
    return filler


def send(site: Site, url: str, at: int, data: bytes) -> httpx.Response:
    headers = {**site.headers(), "Upload-Offset": str(at)}
    return site.client.patch(url, content=data, headers=headers)


def test_an_upload_meets_a_full_disk_and_goes_on_when_there_is_room(site: Site, disk: Path) -> None:
    data = b"0123456789abcdef" * (6 * 1024 * 1024 // 16)
    url = site.announce("large.txt", len(data)).json()["url"]
    assert send(site, url, 0, data[:CHUNK]).json()["offset"] == CHUNK
    filler = fill(disk, leave=256 * 1024)
    refused = send(site, url, CHUNK, data[CHUNK:])
    assert refused.status_code == 507
    assert refused.json()["code"] == "disk_full"
    assert "not enough room on the disk" in refused.json()["detail"]
    # What had come stays, and the page still opens.
    assert site.client.get(url, headers=site.headers()).json()["offset"] == CHUNK
    filler.unlink()
    done = send(site, url, CHUNK, data[CHUNK:])
    assert done.status_code == 200 and done.json()["document"]


def test_a_new_upload_is_refused_at_once(site: Site, disk: Path) -> None:
    fill(disk, leave=1024 * 1024)
    refused = site.announce("large.txt", 5 * 1024 * 1024)
    assert refused.status_code == 507
    assert refused.json()["code"] == "disk_full"


def test_a_database_without_room_is_a_sentence_too(site: Site, disk: Path) -> None:
    filler = fill(disk, leave=0)
    refused = site.announce("small.txt", 10)
    assert refused.status_code == 507
    assert "not enough room on the disk" in refused.json()["detail"]
    filler.unlink()
    assert site.announce("small.txt", 10).status_code == 201


class FullAfter:
    """An open file on a disk that takes so many bytes of a write and then no more."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self.file, self.room = file, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> FullAfter:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.file.write(data[: self.room])
        self.file.flush()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.django_db
def test_half_a_part_that_found_no_room_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no disk can be mounted."""
    tenant = make_tenant()
    person = make_person(tenant)
    library = make_library(tenant, contributors=[person])
    scope = scope_for(person)
    upload = uploads.begin(scope, library.id, "notes.txt", 10)
    assert uploads.append(scope, upload.id, 0, b"0123") == 4
    opened = Path.open
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, *mode: FullAfter(opened(path, *mode), room=3))
        with pytest.raises(NoRoom):
            uploads.append(scope, upload.id, 4, b"456789")
    assert uploads.offset(upload) == 4
    assert uploads.append(scope, upload.id, 4, b"456789") == 10
    part = blobs.part_path(tenant.id, Upload.objects.get().id)
    assert part.read_bytes() == b"0123456789"


@pytest.mark.parametrize(
    ("accept", "kind"), [("text/html", "text/html"), ("application/json", "problem+json")]
)
def test_a_database_that_fails_before_any_view_is_a_sentence(
    rf: RequestFactory, accept: str, kind: str
) -> None:
    """Where sessions cannot be read, nothing may ask the database again."""
    try:
        raise OperationalError("locked")
    except OperationalError:
        page = fault(rf.get("/", headers={"Accept": accept}))
    assert page.status_code == 503
    assert kind in page["Content-Type"]
    assert "does not answer right now" in page.content.decode()
