"""Downloading the file as it was uploaded."""

from __future__ import annotations

import pytest

from muniment.audit.errors import AuditUnavailable
from muniment.documents import services
from muniment.documents.blobs import blob_path
from muniment.documents.models import Document
from muniment.scope import Label
from tests.factories import make_document
from tests.house import House, events, signed_in

# The test client reads in its own way what is written for an asynchronous server.
pytestmark = pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")


def original(document: Document) -> str:
    return f"/documents/{document.current_id}/original"


def test_the_very_bytes_come_as_a_download_that_no_browser_opens(house: House) -> None:
    document = make_document(house.library, "rules.html", ["<script>alert(1)</script>"])
    answer = signed_in(house.reader).get(original(document))
    assert b"".join(answer) == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="rules.html"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["Content-Length"] == "25"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ('a "quoted" \\ name.txt', 'attachment; filename="a \\"quoted\\" \\\\ name.txt"'),
        ("Größe.txt", "attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.txt"),
        ("semi;colon.txt", 'attachment; filename="semi;colon.txt"'),
    ],
)
def test_its_name_travels_whole(house: House, name: str, header: str) -> None:
    document = make_document(house.library, name)
    answer = signed_in(house.reader).get(original(document))
    assert answer.headers["Content-Disposition"] == header
    b"".join(answer)


def test_a_large_file_comes_in_pieces(house: House) -> None:
    document = make_document(house.library, "big.txt", ["x" * 1_000_000])
    pieces = list(signed_in(house.reader).get(original(document)))
    assert len(pieces) == 4
    assert sum(map(len, pieces)) == 1_000_000


def test_intent_and_outcome_are_in_the_trail(house: House) -> None:
    document = make_document(house.library)
    answer = signed_in(house.reader).get(original(document))
    assert [event["stage"] for event in events("document.downloaded")] == ["intent"]
    b"".join(answer)
    intent, outcome = events("document.downloaded")
    assert (intent["outcome"], outcome["stage"], outcome["outcome"]) == ("pending", "outcome", "done")
    assert intent["details"]["sha256"] == outcome["details"]["sha256"] == document.versions.get().sha256


def test_without_the_event_no_byte_leaves(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    document = make_document(house.library)

    def broken(*_args: object, **_more: object) -> None:
        raise AuditUnavailable("the trail is full")

    monkeypatch.setattr(services, "record_alone", broken)
    answer = signed_in(house.reader).get(original(document))
    assert answer.status_code == 503
    assert b"Doors" not in answer.content


def test_a_document_above_the_clearance_is_not_there(house: House) -> None:
    document = make_document(house.library, label=Label.SECRET)
    assert signed_in(house.reader).get(original(document)).status_code == 404
    assert not events("document.downloaded")


def test_bytes_that_are_lost_are_said_to_be(house: House) -> None:
    document = make_document(house.library)
    blob_path(house.tenant.id, document.versions.get().sha256).unlink()
    answer = signed_in(house.reader).get(original(document))
    assert answer.status_code == 404
    assert "not there any more" in answer.content.decode()
