"""Files that cannot be read end as failed with a sentence, and a good file after them is published."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.utils import timezone

from muniment.documents.messages import message
from muniment.documents.models import Version, VersionState
from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind, State
from muniment.tenancy.services import system_scope
from tests.factories import make_library, make_person, make_tenant, make_version
from tests.faults.look import Site, eventually, slow_to_read
from tests.ingest import make
from workers.ingest import pipeline, sandbox
from workers.leases import work

LOCKED = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (%s) /U (%s) >> /ID [(a) (a)]" % (
    b"x" * 32,
    b"y" * 32,
)
MEGABYTE = 1024 * 1024


def bad_files() -> dict[str, tuple[bytes, str]]:
    """Bytes and the code they fail with, by name."""
    good = make.pdf([[(72, 700, 12, "Half of this is missing.")]] * 20)
    return {
        "bomb.docx": (make.zeros_archive(600), "too_large"),
        "ten thousand empty pages.pdf": (make.pdf([[]] * 10_000), "too_many_pages"),
        "encrypted.pdf": (make.pdf([[(72, 700, 12, "Secret")]], trailer=LOCKED), "encrypted"),
        "empty.txt": (b" \n", "empty"),
        "truncated.pdf": (good[: len(good) // 2], "broken"),
        "truncated.docx": (make.zeros_archive(1)[:300], "broken"),
        "unknown.dat": (bytes(range(256)) * 8, "unknown_format"),
        "picture of nothing.pdf": (make.image_pdf(1, 1, b"\0"), "empty"),
    }


def test_bad_files_fail_with_a_sentence_and_the_good_one_is_published(site: Site) -> None:
    files = bad_files()
    documents = {name: site.upload(name, data) for name, (data, _code) in files.items()}
    good = site.upload("good.txt", b"The spare key lies in the drawer.")
    site.published(good)
    site.assert_published_once(good)
    assert site.version(good)["language"] == "en"
    for name, document in documents.items():
        eventually(site.is_in(document, "failed", "published"))
        version = site.version(document)
        assert (version["state"], version["error_code"]) == ("failed", files[name][1]), name
        assert str(message(version["error_code"]).text).endswith(".")
    page = site.client.get(f"/libraries/{site.slug}/").text
    assert all(name in page for name in files)


def test_a_file_over_the_limit_is_refused_before_it_is_sent(site: Site) -> None:
    refused = site.announce("huge.pdf", 10_000 * MEGABYTE)
    assert refused.status_code == 413
    assert "The file is larger than" in refused.json()["detail"]
    assert site.announce("nothing.pdf", 0).status_code == 422


@pytest.mark.django_db(transaction=True)
def test_a_file_that_kills_its_reader_three_times_is_set_aside() -> None:
    """The reader's process really dies each time; the worker that asked for it lives."""
    version, job = _uploaded(slow_to_read())
    for deaths in (1, 2, 3):
        killer = threading.Thread(target=_kill_reader)
        killer.start()
        work(str(job.id), str(job.tenant), pipeline.ingest, patient=True)
        killer.join()
        version.refresh_from_db()
        job.refresh_from_db()
        assert version.reader_deaths == deaths
        Job.objects.filter(pk=job.pk).update(next_at=timezone.now() - timedelta(seconds=1))
    assert (version.state, version.error_code) == (VersionState.FAILED, "killed_reader")
    assert job.state == State.DONE
    assert "stopped its reader three times" in str(message("killed_reader").text)


def _uploaded(data: bytes) -> tuple[Version, Job]:
    tenant = make_tenant()
    library = make_library(tenant, contributors=[make_person(tenant)])
    document = library.documents.create(tenant=tenant.id, name="deadly.csv", label=library.label)
    version = make_version(document, VersionState.RECEIVED, data)
    return version, jobs.create(system_scope(tenant.id), Kind.INGEST, version.id)


def _kill_reader() -> None:
    sandbox.warm_up()
    assert sandbox._warm
    warm = psutil.Process(sandbox._warm.process.pid)
    child = eventually(warm.children, 30)[0]
    time.sleep(0.1)
    child.kill()


def test_a_reader_is_confined_and_does_not_outlive_its_file(site: Site) -> None:
    """What the reader's limits promise holds in the real worker."""
    document = site.upload("slow.csv", slow_to_read(1))
    readers = eventually(lambda: _readers(site), 60)
    assert {reader.rlimit(psutil.RLIMIT_FSIZE)[0] for reader in readers} == {0}
    assert all(os.getpgid(reader.pid) == reader.pid for reader in readers)
    site.published(document)
    assert not _readers(site)


def _readers(site: Site) -> list[psutil.Process]:
    """Children of the warm reader of the ingest worker."""
    below = site.process("ingest").children(recursive=True)
    warm = [process for process in below if "workers.ingest.warm" in process.cmdline()]
    pids = {process.pid for process in warm}
    return [process for process in warm if process.ppid() in pids]


def test_the_original_of_a_failed_file_is_kept_for_another_try(site: Site, tmp_path: Path) -> None:
    data = b"%PDF-1.7 and nothing else"
    document = site.upload("try again.pdf", data)
    eventually(site.is_in(document, "failed"))
    version = site.version(document)
    blob = site.house.data / "blobs"
    assert [path.read_bytes() for path in blob.rglob(version["sha256"])] == [data]
