"""A page of a document with the cited words marked."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest

from muniment.audit.errors import AuditUnavailable
from muniment.documents import services
from muniment.documents.models import Document, Page, Passage, Version
from muniment.documents.presentation import SHEETS
from muniment.scope import Scope
from tests.factories import PDF, PNG, make_document, publish_version
from tests.house import House, events, signed_in

FIRST, SECOND = "Doors close at ten. Windows too.", "Nobody stays overnight."


def pdf(house: House, media_type: str = PDF) -> Document:
    return make_document(house.library, "rules.pdf", [FIRST, SECOND], media_type=media_type)


def passage_on(document: Document, page: int) -> Passage:
    return Passage.objects.get(version=document.current, page=page)


def page_of(document: Document, number: int = 1, query: str = "") -> str:
    return f"/documents/{document.current_id}/pages/{number}{query}"


@pytest.mark.parametrize("media_type", [PDF, PNG])
def test_a_pdf_or_scan_is_shown_as_its_picture_with_boxes_over_the_passage(
    house: House, media_type: str
) -> None:
    document = pdf(house, media_type)
    passage = passage_on(document, 1)
    page = signed_in(house.reader).get(page_of(document, 1, f"?passage={passage.id}&from=0&to=19"))
    assert page.status_code == 200
    viewer = page.context["viewer"]
    assert viewer["kind"] == "picture"
    assert viewer["image_url"].startswith(f"/documents/{document.current_id}/pages/1/picture?w=1280&seen=")
    light, strong = viewer["boxes"]
    assert light == {"x": 50.0, "y": 100.0, "width": 6.0 * len(FIRST), "height": 12.0, "best": False}
    assert strong == {"x": 50.0, "y": 100.0, "width": 6.0 * 19, "height": 12.0, "best": True}
    assert page.content.decode().count("<rect") == 2
    assert viewer["page_text"] == FIRST


def test_pages_that_could_not_be_read_are_told_on_every_page(house: House) -> None:
    document = pdf(house)
    client = signed_in(house.reader)
    told = "These pages could not be read and are not searched: 2, 5-7."
    assert told not in client.get(page_of(document)).content.decode()
    Version.objects.filter(pk=document.current_id).update(warnings=["pages_not_read:2, 5-7", "gremlins"])
    for number in (1, 2):
        body = client.get(page_of(document, number)).content.decode()
        assert body.count(told) == 1 and body.count('class="notice weak"') == 1


def test_text_is_shown_as_blocks_with_the_passage_marked(house: House) -> None:
    document = make_document(house.library, texts=[FIRST, SECOND])
    passage = passage_on(document, 1)
    page = signed_in(house.reader).get(page_of(document, 1, f"?passage={passage.id}&from=0&to=19"))
    body = page.content.decode()
    assert '<mark class="best">Doors close at ten.</mark><mark> Windows too.</mark>' in body
    assert SECOND not in body


def test_a_page_without_a_citation_marks_nothing(house: House) -> None:
    body = signed_in(house.reader).get(page_of(make_document(house.library))).content.decode()
    assert "<mark" not in body


@pytest.mark.parametrize(
    ("span", "best"),
    [
        ("&from=6&to=11", "close"),
        ("&from=0&to=100000", FIRST),
        ("&from=12&to=7", None),
        ("&from=-3&to=5", "Doors"),
        ("&from=x&to=y", None),
        ("&from=500&to=900", None),
    ],
)
def test_offsets_outside_the_passage_are_cut_to_it(house: House, span: str, best: str | None) -> None:
    document = make_document(house.library, texts=[FIRST])
    url = page_of(document, 1, f"?passage={passage_on(document, 1).id}{span}")
    body = signed_in(house.reader).get(url).content.decode()
    found = re.search(r'<mark class="best">(.*?)</mark>', body)
    assert (found[1] if found else None) == best


def test_a_passage_over_two_pages_is_marked_on_both(house: House) -> None:
    document = make_document(house.library, texts=[FIRST, SECOND])
    version = document.current
    passage = passage_on(document, 1)
    Passage.objects.filter(version=version, page=2).delete()
    whole = f"{FIRST}\n\n{SECOND}"
    Passage.objects.filter(pk=passage.pk).update(text=whole, end=len(whole), page_end=2)
    client = signed_in(house.reader)
    first = client.get(page_of(document, 1, f"?passage={passage.id}"))
    assert f"<mark>{FIRST}</mark>" in first.content.decode()
    second = client.get(first.context["viewer"]["next_url"])
    assert f"<mark>{SECOND}</mark>" in second.content.decode()


def test_what_stands_in_a_document_is_text_and_nothing_else(house: House) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>{{ 7|add:7 }}"
    document = make_document(house.library, texts=[evil])
    passage = passage_on(document, 1)
    Passage.objects.filter(pk=passage.pk).update(heading="<b>bold</b>")
    body = (
        signed_in(house.reader)
        .get(page_of(document, 1, f"?passage={passage.id}&from=3&to=9"))
        .content.decode()
    )
    assert "<script>alert" not in body and "<img src=x" not in body
    assert "{{ 7|add:7 }}" in body


def test_blocks_are_shown_as_what_they_are(house: House) -> None:
    text = "Title\n\nWords.\n\nOne\n\na | b\n\nx = 1"
    document = make_document(house.library, texts=[text])
    blocks = [
        ["heading", 0, 5, 1],
        ["paragraph", 7, 13, 0],
        ["item", 15, 18, 0],
        ["row", 20, 25, 0],
        ["code", 27, 32, 0],
    ]
    Page.objects.filter(version=document.current).update(blocks=blocks)
    body = signed_in(house.reader).get(page_of(document)).content.decode()
    for html in (
        "<h2>Title</h2>",
        "<p>Words.</p>",
        '<p class="item">One</p>',
        '<p class="row">a | b</p>',
        "<pre>x = 1</pre>",
    ):
        assert html in body


def test_steps_lead_to_the_pages_around_and_end_at_the_ends(house: House) -> None:
    document = make_document(house.library, texts=["One.", "Two.", "Three."])
    client = signed_in(house.reader)
    steps = [client.get(page_of(document, n)).context["viewer"] for n in (1, 2, 3)]
    assert [step["previous_url"] for step in steps] == ["", page_of(document, 1), page_of(document, 2)]
    assert [step["next_url"] for step in steps] == [page_of(document, 2), page_of(document, 3), ""]
    assert [step["page_label"] for step in steps] == ["Page 1", "Page 2", "Page 3"]


@pytest.mark.parametrize("media_type", SHEETS)
def test_a_sheet_is_called_a_sheet(house: House, media_type: str) -> None:
    document = make_document(house.library, "costs.xlsx", ["a | b"], media_type=media_type)
    Page.objects.filter(version=document.current).update(label="Costs <2026>")
    page = signed_in(house.reader).get(page_of(document))
    assert page.context["viewer"]["page_label"] == "Sheet Costs <2026>"
    assert "Costs &lt;2026&gt;" in page.content.decode()


def test_for_htmx_only_the_panel_comes(house: House) -> None:
    document = make_document(house.library)
    client = signed_in(house.reader)
    panel = client.get(page_of(document), headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in panel and "data-viewer-close" in panel
    assert "<html" in client.get(page_of(document)).content.decode()


def test_the_page_of_its_own_lists_the_versions(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    publish_version(document, ["New."])
    viewer = signed_in(house.clerk).get(page_of(document)).context["viewer"]
    assert [(row["version"], row["current"]) for row in viewer["versions_list"]] == [(2, True), (1, False)]
    assert viewer["versions_list"][0]["added_by"] == house.clerk.name
    assert viewer["replace"]["document"] == document.id
    assert signed_in(house.reader).get(page_of(document)).context["viewer"]["replace"] is None


def test_the_page_of_its_own_offers_what_the_person_may_do(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    offers = {
        person: [
            f"/documents/{document.id}/{act}" in signed_in(person).get(page_of(document)).content.decode()
            for act in ("label", "move", "delete")
        ]
        for person in (house.reader, house.clerk, house.curator)
    }
    assert list(offers.values()) == [[False] * 3, [False, True, True], [True] * 3]


def test_a_document_leads_to_its_current_version(house: House) -> None:
    document = make_document(house.library)
    answer = signed_in(house.reader).get(f"/documents/{document.id}")
    assert answer.headers["Location"] == page_of(document)


def test_a_view_is_in_the_trail_without_names_in_its_body(house: House) -> None:
    document = make_document(house.library)
    passage = passage_on(document, 1)
    signed_in(house.reader).get(page_of(document, 1, f"?passage={passage.id}"))
    (event,) = events("document.viewed")
    assert event["details"] == {
        "library": str(house.library.id),
        "version": str(document.current_id),
        "page": 1,
        "passage": str(passage.id),
    }
    assert event["object"]["ref"] == str(document.id)


def test_without_the_event_there_is_no_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    document = make_document(house.library, texts=["Never without a trace."])

    def broken(*_args: object, **_more: object) -> None:
        raise AuditUnavailable("the trail is full")

    monkeypatch.setattr(services, "record_alone", broken)
    answer = signed_in(house.reader).get(page_of(document))
    assert answer.status_code == 503
    assert "Never without a trace." not in answer.content.decode()


@pytest.mark.parametrize("number", [0, 2, 99999999])
def test_a_page_that_is_not_there_is_not_found(house: House, number: int) -> None:
    document = make_document(house.library)
    assert signed_in(house.reader).get(page_of(document, number)).status_code == 404
    assert not events("document.viewed")


def test_a_passage_of_another_document_is_not_found(house: House) -> None:
    document, other = make_document(house.library), make_document(house.library, "b.txt", ["Other."])
    client = signed_in(house.reader)
    for passage in (passage_on(other, 1).id, uuid4(), "x"):
        assert client.get(page_of(document, 1, f"?passage={passage}")).status_code == 404


def test_a_long_page_comes_in_parts_around_the_passage(house: House) -> None:
    words = "".join(f"Sentence number {n:05}. " for n in range(4000)).strip()
    document = make_document(house.library, texts=[words])
    passage = passage_on(document, 1)
    at = words.index("Sentence number 02000.")
    client = signed_in(house.reader)
    page = client.get(page_of(document, 1, f"?passage={passage.id}&from={at}&to={at + 22}"))
    body = page.content.decode()
    assert '<mark class="best">Sentence number 02000.</mark>' in body
    assert "Sentence number 00000." not in body and "Sentence number 03999." not in body
    assert len(body) < 60_000


def test_going_on_reads_the_whole_of_a_long_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muniment.documents.reading.WINDOW_CHARS", 500)
    words = "".join(f"Sentence {n:04}. " for n in range(200)).strip()
    document = make_document(house.library, texts=[words])
    Page.objects.filter(version=document.current).update(
        blocks=[["paragraph", start, min(start + 60, len(words)), 0] for start in range(0, len(words), 60)]
    )
    client, url, read = signed_in(house.reader), page_of(document), ""
    while url:
        viewer = client.get(url).context["viewer"]
        read += "".join(part["text"] for block in viewer["blocks"] for part in block["parts"])
        url = viewer["after_url"]
    assert read == words
    while viewer["before_url"]:
        viewer = client.get(viewer["before_url"]).context["viewer"]
    assert viewer["blocks"][0]["parts"][0]["text"].startswith("Sentence 0000.")


def test_asking_for_a_part_beyond_the_page_gives_its_end(house: House) -> None:
    document = make_document(house.library, texts=["word " * 10_000])
    page = signed_in(house.reader).get(page_of(document, 1, "?at=99999999"))
    assert page.status_code == 200
    assert page.context["viewer"]["after_url"] == ""


def test_who_may_see_the_page_is_asked_each_time(house: House) -> None:
    document = make_document(house.library)
    client = signed_in(house.reader)
    assert client.get(page_of(document)).status_code == 200
    house.library.grants.filter(person=house.reader).delete()
    assert client.get(page_of(document)).status_code == 404


def test_the_view_is_recorded_with_the_scope_of_who_asks(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = make_document(house.library)
    asked: list[Scope] = []
    monkeypatch.setattr(services, "record_alone", lambda scope, *_a, **_m: asked.append(scope))
    signed_in(house.reader).get(page_of(document))
    assert asked[0].person == house.reader.id
