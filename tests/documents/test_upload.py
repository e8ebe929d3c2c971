"""Uploading a file in parts."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from muniment.documents import blobs, services, uploads
from muniment.documents.models import Document, Upload, Version, VersionState
from muniment.jobs.models import Job, Kind
from muniment.scope import Label
from muniment.tenancy.models import Library
from tests.factories import make_document, make_library, make_version, scope_for
from tests.house import House, events, make_house, signed_in

TEXT = b"Doors close at ten."


def announce(
    client: Client, library: Library, name: str = "rules.txt", size: int = len(TEXT), **more: Any
) -> Any:
    body = {"name": name, "size": size, "library": str(library.id), **more}
    return client.post(
        "/uploads", json.dumps(body), "application/json", headers={"Accept": "application/json"}
    )


def send(client: Client, url: str, offset: int, part: bytes) -> Any:
    headers = {"Upload-Offset": str(offset), "Accept": "application/json"}
    return client.patch(url, part, "application/offset+octet-stream", headers=headers)


def send_whole(
    client: Client, library: Library, name: str = "rules.txt", data: bytes = TEXT, **more: Any
) -> Any:
    url = announce(client, library, name, len(data), **more).json()["url"]
    return send(client, url, 0, data)


def test_a_file_in_two_parts_becomes_a_document_with_a_job(house: House) -> None:
    client = signed_in(house.clerk)
    begun = announce(client, house.library)
    assert begun.status_code == 201
    assert begun.json()["offset"] == 0
    url = begun.json()["url"]
    assert send(client, url, 0, TEXT[:5]).json()["offset"] == 5
    ended = send(client, url, 5, TEXT[5:]).json()

    document = Document.objects.get()
    assert ended["document"] == str(document.id)
    assert (document.name, document.library, document.label) == (
        "rules.txt",
        house.library,
        house.library.label,
    )
    version = document.versions.get()
    assert (version.number, version.size, version.state) == (1, len(TEXT), VersionState.RECEIVED)
    assert blobs.blob_path(house.tenant.id, version.sha256).read_bytes() == TEXT
    assert Job.objects.get().subject == version.id
    assert Job.objects.get().kind == Kind.INGEST
    event = events("document.uploaded")[0]
    assert event["details"]["sha256"] == hashlib.sha256(TEXT).hexdigest()
    assert "rules.txt" not in json.dumps(event)


def test_it_goes_on_where_it_was_after_a_lost_connection(house: House) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    send(client, url, 0, TEXT[:7])
    asked = client.head(url)
    assert asked.headers["Upload-Offset"] == "7"
    assert client.get(url).json()["offset"] == 7
    send(client, url, 7, TEXT[7:])
    assert Document.objects.count() == 1


def test_who_missed_the_last_answer_learns_that_it_is_done(house: House) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    send(client, url, 0, TEXT)
    assert client.head(url).headers["Upload-Offset"] == str(len(TEXT))
    assert client.get(url).json()["document"] == str(Document.objects.get().id)
    assert send(client, url, 0, TEXT).status_code == 409
    assert Version.objects.count() == 1


def test_a_file_that_came_whole_before_a_crash_is_finished_when_asked_for(house: House) -> None:
    client, scope = signed_in(house.clerk), scope_for(house.clerk)
    upload = uploads.begin(scope, house.library.id, "rules.txt", len(TEXT))
    uploads.append(scope, upload.id, 0, TEXT)
    assert client.get(f"/uploads/{upload.id}").json()["document"] == str(Document.objects.get().id)


def files(folder: Path) -> set[str]:
    """All that is kept of people's files; the key of the trail is the machine's own."""
    return {path.name for path in folder.rglob("*") if path.is_file()} - {"audit.mac"}


def test_cancelling_forgets_the_parts(house: House, data_folder: Path) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    send(client, url, 0, TEXT[:5])
    assert client.delete(url).status_code == 204
    assert client.get(url).status_code == 404
    assert not files(data_folder)


def test_another_file_of_the_same_name_is_the_next_version(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    send_whole(signed_in(house.clerk), house.library, data=b"Doors close at nine.")
    assert Document.objects.get() == document
    assert list(document.versions.order_by("number").values_list("number", "state")) == [
        (1, VersionState.PUBLISHED),
        (2, VersionState.RECEIVED),
    ]
    document.refresh_from_db()
    assert document.current is not None and document.current.number == 1


def test_the_same_bytes_again_change_nothing(house: House) -> None:
    client = signed_in(house.clerk)
    send_whole(client, house.library)
    again = send_whole(client, house.library)
    assert again.json()["document"] == str(Document.objects.get().id)
    assert Version.objects.count() == 1
    assert len(events("document.uploaded")) == 1


def test_a_file_uploaded_while_the_one_before_is_in_work_takes_its_place(house: House) -> None:
    client = signed_in(house.clerk)
    send_whole(client, house.library)
    send_whole(client, house.library, data=b"Other words.")
    states = Version.objects.order_by("number").values_list("state", flat=True)
    assert list(states) == [VersionState.DELETED, VersionState.RECEIVED]
    assert set(Job.objects.filter(state="ready").values_list("kind", flat=True)) == {Kind.INGEST, Kind.REMOVE}


def test_a_new_version_is_named_by_its_document(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    send_whole(
        signed_in(house.clerk), house.library, "rules final (2).txt", b"New.", replaces=str(document.id)
    )
    assert [d.name for d in Document.objects.all()] == ["rules.txt"]
    assert document.versions.count() == 2


def test_a_new_version_of_another_kind_of_file_is_refused(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    answer = announce(signed_in(house.clerk), house.library, "rules.pdf", replaces=str(document.id))
    assert (answer.status_code, answer.json()["code"]) == (422, "other_format")


def test_a_part_with_another_offset_is_refused_and_says_conflict(house: House) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    send(client, url, 0, TEXT[:5])
    for offset in (0, 4, 6, 1_000_000):
        answer = send(client, url, offset, TEXT[:5])
        assert (answer.status_code, answer.json()["code"]) == (409, "offset_mismatch")
    assert client.head(url).headers["Upload-Offset"] == "5"


@pytest.mark.parametrize("offset", ["", "-1", "five", "1e3", "9" * 40, "٣"])
def test_a_part_without_a_number_for_its_offset_is_refused(house: House, offset: str) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    headers = {"Upload-Offset": offset.encode().decode("latin-1"), "Accept": "application/json"}
    assert client.patch(url, TEXT, "application/octet-stream", headers=headers).status_code == 400


def test_more_than_announced_is_refused_and_nothing_of_it_kept(house: House) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library, size=10).json()["url"]
    assert send(client, url, 0, TEXT).status_code == 413
    assert client.head(url).headers["Upload-Offset"] == "0"
    assert not Document.objects.exists()


def test_a_file_over_the_limit_is_refused_before_a_byte_is_sent(house: House, settings: Settings) -> None:
    settings.UPLOAD_LIMIT_BYTES = 100
    answer = announce(signed_in(house.clerk), house.library, size=101)
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert "100" in answer.json()["detail"]
    assert not Upload.objects.exists()


def test_a_part_over_its_limit_is_refused(house: House, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    client = signed_in(house.clerk)
    scope = scope_for(house.clerk)
    upload = uploads.begin(scope, house.library.id, "rules.txt", len(TEXT))
    assert send(client, f"/uploads/{upload.id}", 0, TEXT).status_code == 413


def test_an_empty_file_is_refused(house: House) -> None:
    answer = announce(signed_in(house.clerk), house.library, size=0)
    assert (answer.status_code, answer.json()["code"]) == (422, "empty_file")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"text"',
        b'{"name": "a.txt", "size": "12", "library": "x"}',
        b'{"name": 5, "size": 12, "library": "00000000-0000-0000-0000-000000000000"}',
        b'{"name": "a.txt", "size": true, "library": "00000000-0000-0000-0000-000000000000"}',
        b'{"name": "a.txt", "size": 12, "library": 12}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_announcement_is_refused(house: House, body: bytes) -> None:
    answer = signed_in(house.clerk).post("/uploads", body, "application/json")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\Users\\me\\rules.txt", "rules.txt"),
        ("rules\x00\x1b[2J.txt", "rules[2J.txt"),
        ("fdp.\u202etxt.exe", "fdp.txt.exe"),
        ("  spaced   name .txt ", "spaced name .txt"),
        ("Cafe\u0301.txt", "Café.txt"),
        ("x" * 400 + ".txt", "x" * 251 + ".txt"),
    ],
)
def test_names_are_kept_as_plain_text(house: House, given: str, kept: str) -> None:
    send_whole(signed_in(house.clerk), house.library, given)
    assert Document.objects.get().name == kept


@pytest.mark.parametrize("given", ["", "..", "/", "\u202e", "\x00", " . "])
def test_a_name_of_which_nothing_is_left_is_refused(house: House, given: str) -> None:
    answer = announce(signed_in(house.clerk), house.library, given)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_name")


def test_a_disk_that_is_nearly_full_takes_no_new_file(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _path: SimpleNamespace(total=10**9, used=10**9, free=1000)
    )
    answer = announce(signed_in(house.clerk), house.library)
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")


def test_a_disk_that_fills_meanwhile_keeps_what_had_come(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    send(client, url, 0, TEXT[:5])
    whole_open = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(bytes(data)[:2])
            raise OSError(errno.ENOSPC, "No space left on device")

    def opened(self: Path, mode: str = "r", *rest: Any, **more: Any) -> Any:
        return Full(self, "ab") if mode == "ab" else whole_open(self, mode, *rest, **more)

    with monkeypatch.context() as full:
        full.setattr(Path, "open", opened)
        answer = send(client, url, 5, TEXT[5:])
    assert (answer.status_code, answer.json()["code"]) == (507, "disk_full")
    assert client.head(url).headers["Upload-Offset"] == "5"
    send(client, url, 5, TEXT[5:])
    sha256 = Document.objects.get().versions.get().sha256
    assert blobs.blob_path(house.tenant.id, sha256).read_bytes() == TEXT


def test_who_only_reads_may_not_add(house: House) -> None:
    answer = announce(signed_in(house.reader), house.library)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_library_of_others_is_not_there(house: House) -> None:
    other = make_library(house.tenant, "Board")
    foreign = make_house().library
    for library in (other, foreign, Library(id=uuid4())):
        assert announce(signed_in(house.clerk), library).status_code == 404


def test_a_grant_that_is_taken_away_ends_the_upload(house: House) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    house.library.grants.filter(person=house.clerk).delete()
    assert send(client, url, 0, TEXT).status_code == 404
    assert not Document.objects.exists()


def test_a_name_held_by_a_document_above_the_clearance_is_refused(house: House) -> None:
    make_document(house.library, label=Label.SECRET)
    answer = announce(signed_in(house.clerk), house.library)
    assert (answer.status_code, answer.json()["code"]) == (422, "name_taken")


def test_a_name_that_is_taken_meanwhile_ends_the_upload_and_keeps_no_bytes(
    house: House, data_folder: Path
) -> None:
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    hidden = make_document(house.library, label=Label.SECRET)
    answer = send(client, url, 0, TEXT)
    assert (answer.status_code, answer.json()["code"]) == (422, "name_taken")
    assert client.get(url).status_code == 404
    assert files(data_folder) == {hidden.versions.get().sha256}


def test_the_same_bytes_of_two_tenants_are_kept_apart(house: House) -> None:
    other = make_house()
    for each in (house, other):
        send_whole(signed_in(each.clerk), each.library)
    sha256 = hashlib.sha256(TEXT).hexdigest()
    first, second = (blobs.blob_path(each.tenant.id, sha256) for each in (house, other))
    assert first != second and first.read_bytes() == second.read_bytes() == TEXT
    assert first.stat().st_ino != second.stat().st_ino


def test_bytes_stay_until_their_last_document_is_gone(house: House) -> None:
    scope = scope_for(house.curator)
    one, two = (make_document(house.library, name, ["Same."]) for name in ("one.txt", "two.txt"))
    path = blobs.blob_path(house.tenant.id, one.versions.get().sha256)
    for document, left in ((one, True), (two, False)):
        services.delete_document(scope, document.id)
        services.drop_files(document.versions.get())
        assert path.exists() is left


def test_an_upload_nobody_goes_on_with_is_forgotten(house: House, settings: Settings) -> None:
    settings.UPLOAD_KEEP_HOURS = 0
    client = signed_in(house.clerk)
    url = announce(client, house.library).json()["url"]
    send(client, url, 0, TEXT[:5])
    assert uploads.drop_stale(house.tenant.id) == 1
    assert client.get(url).status_code == 404


def test_a_failed_version_makes_room_for_the_same_bytes(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    make_version(document, VersionState.FAILED, TEXT)
    send_whole(signed_in(house.clerk), house.library)
    assert document.versions.get(number=3).state == VersionState.RECEIVED
    assert document.versions.get(number=2).state == VersionState.DELETED
