"""The picture of a PDF's page: drawn when first asked for, kept, and never a way round the trail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import redis
from django.test import Client

from muniment.documents import viewer
from muniment.documents.blobs import pictures_folder
from muniment.documents.models import Document, VersionState
from tests.factories import PDF, make_document
from tests.house import House, events, signed_in
from tests.worker import answering

PNG = b"\x89PNG\r\n\x1a\nnot really"


@pytest.fixture
def document(house: House) -> Document:
    return make_document(house.library, "rules.pdf", ["One.", "Two."], media_type=PDF)


def draw(question: dict[str, Any]) -> dict[str, Any]:
    folder = pictures_folder(UUID(question["tenant"]), UUID(question["version"]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{question['page']}-{question['width']}.png").write_bytes(PNG)
    return {"ok": True}


def kept(document: Document, page: int = 1, width: int = 1280) -> None:
    draw({"tenant": str(document.tenant), "version": str(document.current_id), "page": page, "width": width})


def picture(document: Document, page: int = 1, query: str = "?w=1280") -> str:
    return f"/documents/{document.current_id}/pages/{page}/picture{query}"


def shown(client: Client, document: Document, page: int = 1) -> str:
    url: str = client.get(f"/documents/{document.current_id}/pages/{page}").context["viewer"]["image_url"]
    return url


def test_a_worker_draws_it_and_the_next_time_it_is_there(
    house: House, document: Document, broker: redis.Redis
) -> None:
    client = signed_in(house.reader)
    with answering(broker, "pictures", draw) as asked:
        first = client.get(picture(document, 2))
    assert (first.status_code, first.content, first.headers["Content-Type"]) == (200, PNG, "image/png")
    assert asked == [
        {"tenant": str(house.tenant.id), "version": str(document.current_id), "page": 2, "width": 1280}
    ]
    assert client.get(picture(document, 2)).content == PNG


def test_it_is_sniffed_by_no_browser_and_kept_by_none(house: House, document: Document) -> None:
    kept(document)
    headers = signed_in(house.reader).get(picture(document)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_page_and_picture_together_are_one_view(house: House, document: Document) -> None:
    kept(document)
    client = signed_in(house.reader)
    assert client.get(shown(client, document)).content == PNG
    assert len(events("document.viewed")) == 1


def test_a_picture_without_its_page_is_a_view(house: House, document: Document) -> None:
    kept(document)
    client = signed_in(house.reader)
    client.get(picture(document))
    (event,) = events("document.viewed")
    assert event["details"]["page"] == 1


def test_the_proof_of_one_page_does_not_hide_the_view_of_another(house: House, document: Document) -> None:
    kept(document, 1)
    kept(document, 2)
    client = signed_in(house.reader)
    client.get(shown(client, document, 1).replace("/pages/1/", "/pages/2/"))
    assert [event["details"]["page"] for event in events("document.viewed")] == [1, 2]


def test_the_proof_of_one_person_does_not_hide_the_view_of_another(house: House, document: Document) -> None:
    kept(document)
    url = shown(signed_in(house.reader), document)
    assert signed_in(house.clerk).get(url).status_code == 200
    assert len({event["actor"]["ref"] for event in events("document.viewed")}) == 2


@pytest.mark.parametrize("proof", ["", "x", "1:2", "1" * 5000])
def test_a_forged_proof_hides_nothing(house: House, document: Document, proof: str) -> None:
    kept(document)
    signed_in(house.reader).get(picture(document, 1, f"?w=1280&seen={proof}"))
    assert len(events("document.viewed")) == 1


def test_an_old_proof_hides_nothing(
    house: House, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(document)
    client = signed_in(house.reader)
    url = shown(client, document)
    monkeypatch.setattr(viewer, "PAGE_MINUTES", -1)
    client.get(url)
    assert len(events("document.viewed")) == 2


def test_a_proof_opens_nothing_once_the_grant_is_gone(house: House, document: Document) -> None:
    kept(document)
    client = signed_in(house.reader)
    url = shown(client, document)
    house.library.grants.filter(person=house.reader).delete()
    assert client.get(url).status_code == 404


@pytest.mark.parametrize("query", ["?w=1281", "?w=100000", "?w=-640", "?w=x", "?w="])
def test_only_some_widths_are_drawn(house: House, document: Document, query: str) -> None:
    assert signed_in(house.reader).get(picture(document, 1, query)).status_code == 404


def test_a_page_that_is_not_there_has_no_picture(house: House, document: Document) -> None:
    assert signed_in(house.reader).get(picture(document, 3)).status_code == 404


def test_a_page_of_text_has_no_picture(house: House) -> None:
    document = make_document(house.library)
    assert signed_in(house.reader).get(picture(document)).status_code == 404


def test_a_version_in_work_has_no_picture(house: House, document: Document) -> None:
    kept(document)
    document.versions.update(state=VersionState.EMBEDDING)
    assert signed_in(house.reader).get(picture(document)).status_code == 404


def test_a_worker_that_cannot_draw_it_is_said_so(
    house: House, document: Document, broker: redis.Redis
) -> None:
    with answering(broker, "pictures", lambda _question: {"problem": "picture"}):
        answer = signed_in(house.reader).get(picture(document))
    assert answer.status_code == 503


def test_no_worker_is_said_so_in_time(
    house: House, document: Document, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer, "PICTURE_SECONDS", 0.3)
    assert signed_in(house.reader).get(picture(document)).status_code == 503


def test_no_broker_is_said_so(house: House, document: Document, no_broker: None) -> None:
    assert signed_in(house.reader).get(picture(document)).status_code == 503
