"""The page for finding passages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.test import Client

from muniment.audit.models import AuditPrivate
from muniment.documents.models import Document, Passage
from muniment.scope import Label
from muniment.search import services
from muniment.search.asked import Narrowing
from muniment.search.queries import passages_with
from tests.factories import make_document, make_library, publish_version, scope_for
from tests.house import House, events, make_house, seen, signed_in
from tests.worker import Question, answering

TEXT = "Windows are shut. Doors close at ten. Nobody stays."


def passage_of(document: Document) -> Passage:
    return Passage.objects.get(version=document.current)


def hits(
    *passages: Passage,
    best: tuple[int, int] = (18, 37),
    marks: Sequence[tuple[int, int]] = (),
    alike: Sequence[Passage] = (),
    **rest: Any,
) -> dict[str, Any]:
    """What a worker replies."""
    others = [str(passage.id) for passage in alike]
    found = [
        {"passage": str(passage.id), "best": best, "marks": marks, "alike": others} for passage in passages
    ]
    documents = len({passage.version_id for passage in passages})
    usual = {"more": {}, "passages": len(found), "documents": documents, "pages": 1}
    return {"hits": found, **usual, "met": True, "common": False, **rest}


def text_of(page: Any) -> str:
    """The page's words, as people read them."""
    return " ".join(unescape(re.sub(r"<[^>]+>", "", page.content.decode())).split())


def test_passages_are_shown_with_the_words_marked(house: House, broker: redis.Redis) -> None:
    document = make_document(house.library, texts=[TEXT])
    passage = passage_of(document)
    with answering(broker, "search", lambda _question: hits(passage, marks=[(18, 23), (24, 29)])) as asked:
        page = signed_in(house.reader).get("/search?q=when+do+doors++close")
    body = page.content.decode()
    assert page.status_code == 200
    assert "Windows are shut. <mark>Doors</mark> <mark>close</mark> at ten. Nobody stays." in body
    assert f"/documents/{document.current_id}/pages/1?passage={passage.id}&amp;from=18&amp;to=37" in body
    assert "p. 1" in body and "rules.txt" in body
    assert asked[0]["query"] == "when do doors close"
    assert (asked[0]["tenant"], asked[0]["person"]) == (str(house.tenant.id), str(house.reader.id))


def test_where_else_the_same_stands_is_said_of_what_may_be_read(house: House, broker: redis.Redis) -> None:
    first, copy, secret = (
        passage_of(make_document(house.library, name, [TEXT], label=label))
        for name, label in (("a.txt", Label.PUBLIC), ("b.txt", Label.PUBLIC), ("c.txt", Label.SECRET))
    )
    client = signed_in(house.reader)
    with answering(broker, "search", lambda _question: hits(first, alike=[copy, secret])):
        page = client.get("/search?q=doors")
    assert "1 other passage says the sameb.txt, p. 1" in text_of(page)
    (card,) = page.context["groups"][0]["passages"]
    (place,) = card["alike"]
    assert "Doors close at ten." in client.get(place["url"]).content.decode()
    assert "c.txt" not in page.content.decode()


def test_the_link_leads_to_the_marked_page(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library, texts=[TEXT]))
    client = signed_in(house.reader)
    with answering(broker, "search", lambda _question: hits(passage)):
        (group,) = client.get("/search?q=doors").context["groups"]
    (card,) = group["passages"]
    assert '<mark class="best">Doors close at ten.</mark>' in client.get(card["url"]).content.decode()


def test_one_library_alone_is_searched_when_chosen(house: House, broker: redis.Redis) -> None:
    with answering(broker, "search", lambda _question: hits()) as asked:
        page = signed_in(house.reader).get("/search?q=doors&library=handbook")
    assert asked[0]["where"]["libraries"] == [str(house.library.id)]
    assert page.context["chips"] == [{"text": "Handbook", "url": "/search?q=doors"}]


def test_nothing_found_says_what_to_try(house: House, broker: redis.Redis) -> None:
    with answering(broker, "search", lambda _question: hits()):
        body = signed_in(house.reader).get("/search?q=unicorns").content.decode()
    assert "Nothing was found" in body


def test_before_a_search_nothing_is_asked(house: House, no_broker: None) -> None:
    for query in ("", "?q=", "?q=++"):
        page = signed_in(house.reader).get(f"/search{query}")
        assert page.status_code == 200
        assert "What are you looking for?" in page.content.decode()
    assert not events("search.made")


def test_htmx_gets_the_results_alone(house: House, broker: redis.Redis) -> None:
    with answering(broker, "search", lambda _question: hits()):
        body = signed_in(house.reader).get("/search?q=x", headers={"HX-Request": "true"}).content.decode()
    assert "Nothing was found" in body and "<html" not in body


def test_a_search_is_in_the_trail_its_words_beside_it(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library, texts=[TEXT]))
    with answering(broker, "search", lambda _question: hits(passage)):
        signed_in(house.reader).get("/search?q=secret+words&library=handbook")
    (event,) = events("search.made")
    assert event["details"] == {"libraries": [str(house.library.id)], "hits": 1}
    assert "secret words" not in str(event)
    assert AuditPrivate.objects.get(field="query").value == "secret words"


def test_what_the_index_returns_is_held_against_the_scope(house: House, broker: redis.Redis) -> None:
    """The worker may be late or wrong: what may be seen is the database's word."""
    mine = make_document(house.library, "mine.txt", [TEXT])
    deleted = make_document(house.library, "deleted.txt", ["Gone."])
    Document.objects.filter(pk=deleted.pk).update(deleted_at="2026-01-01T00:00Z")
    replaced = make_document(house.library, "replaced.txt", ["Old."])
    old = passage_of(replaced)
    publish_version(replaced, ["New."])
    others = [
        passage_of(make_document(make_house().library, "foreign.txt", [TEXT])),
        passage_of(make_document(make_library(house.tenant, "Board"), "board.txt", [TEXT])),
        passage_of(make_document(house.library, "hidden.txt", [TEXT], label=Label.SECRET)),
        Passage.objects.get(version__document=deleted),
        old,
    ]
    found = hits(*others, passage_of(mine))
    with answering(broker, "search", lambda _question: found):
        page = signed_in(house.reader).get("/search?q=doors")
    assert [group["name"] for group in page.context["groups"]] == ["mine.txt"]


def test_text_of_documents_is_text(house: House, broker: redis.Redis) -> None:
    evil = "<img src=x onerror=alert(1)> <script>alert(2)</script>"
    passage = passage_of(make_document(house.library, "<b>name</b>.txt", [evil]))
    with answering(broker, "search", lambda _question: hits(passage, best=(2, 30), marks=[(0, 8)])):
        body = signed_in(house.reader).get("/search?q=<script>alert(3)</script>").content.decode()
    for html in ("<img src=x", "<script>alert", "<b>name"):
        assert html not in body


def test_a_library_of_others_is_not_there(house: House, no_broker: None) -> None:
    make_library(house.tenant, "Board")
    client = signed_in(house.reader)
    absent = seen(client.get("/search?q=x&library=nowhere"))
    assert absent[0] == 404
    assert seen(client.get("/search?q=x&library=board")) == absent


def test_a_broker_that_does_not_answer_is_said_so_in_the_page(house: House, no_broker: None) -> None:
    page = signed_in(house.reader).get("/search?q=doors")
    assert page.status_code == 503
    assert "does not answer right now" in page.content.decode()
    assert not events("search.made")


def test_a_worker_that_does_not_answer_is_said_so_in_the_page(
    house: House, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "SEARCH_SECONDS", 1)
    page = signed_in(house.reader).get("/search?q=doors")
    assert page.status_code == 503


def test_a_worker_that_could_not_search_is_said_so_in_the_page(house: House, broker: redis.Redis) -> None:
    def failing(_question: Question) -> dict[str, Any]:
        return {"problem": "index_unavailable"}

    with answering(broker, "search", failing):
        assert signed_in(house.reader).get("/search?q=doors").status_code == 503


def test_nobody_searches_nothing(db: None) -> None:
    assert Client().get("/search?q=x").status_code == 302


def test_long_passages_are_cut_around_the_sentence(house: House, broker: redis.Redis) -> None:
    text = "word " * 200 + "Doors close at ten. " + "more " * 200
    passage = passage_of(make_document(house.library, texts=[text.strip()]))
    marks = [(0, 4), (1000, 1005), (len(text) - 10, len(text) - 6)]
    with answering(broker, "search", lambda _question: hits(passage, best=(1000, 1019), marks=marks)):
        (group,) = signed_in(house.reader).get("/search?q=doors").context["groups"]
    pieces = group["passages"][0]["snippet"]
    shown = "".join(piece for piece, _marked in pieces)
    assert [piece for piece, marked in pieces if marked] == ["Doors"]
    assert "Doors close at ten." in shown and len(shown) < 400
    assert shown.startswith("… word") and shown.endswith("more …")


def test_a_sentence_without_an_end_is_cut(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library, texts=["x" * 5000]))
    with answering(broker, "search", lambda _question: hits(passage, best=(0, 5000))):
        page = signed_in(house.reader).get("/search?q=xx")
    assert "x" * 1000 not in page.content.decode()


def test_passages_of_one_document_stand_together(house: House, broker: redis.Redis) -> None:
    first = make_document(house.library, "first.txt", ["One.", "Two.", "Three."])
    second = make_document(house.library, "second.txt", ["Doors."])
    found = hits(*Passage.objects.filter(version=first.current).order_by("ordinal"), passage_of(second))
    found |= {"more": {str(first.id): 4}, "passages": 8}
    with answering(broker, "search", lambda _question: found):
        page = signed_in(house.reader).get("/search?q=doors&library=handbook&page=1")
    groups = page.context["groups"]
    assert [(group["name"], len(group["passages"]), group["more"]) for group in groups] == [
        ("first.txt", 3, 4),
        ("second.txt", 1, 0),
    ]
    assert groups[0]["more_url"] == f"/search?q=doors&library=handbook&document={first.id}"
    assert "4 more passages of this document" in text_of(page)
    assert "The best 8 passages, in 2 documents" in text_of(page)


def test_one_document_alone_can_be_searched(house: House, broker: redis.Redis) -> None:
    document = make_document(house.library)
    found = hits(passage_of(document))
    with answering(broker, "search", lambda _question: found) as asked:
        page = signed_in(house.reader).get(f"/search?q=doors&document={document.id}")
    assert asked[0]["where"]["document"] == str(document.id)
    assert page.context["chips"] == [{"text": "rules.txt", "url": "/search?q=doors"}]
    assert f'<input type="hidden" name="document" value="{document.id}"' in page.content.decode()


def test_all_that_narrows_goes_to_the_index_and_can_be_taken_off(house: House, broker: redis.Redis) -> None:
    address = "/search?q=doors&library=handbook&kind=pdf&label=1&since=2026-01-02&until=2026-03-04&page=3"
    with answering(broker, "search", lambda _question: hits()) as asked:
        page = signed_in(house.reader).get(address)
    (question,) = asked
    assert Narrowing.heard(question["where"]) == Narrowing(
        frozenset({house.library.id}), None, "pdf", 1, date(2026, 1, 2), date(2026, 3, 4)
    )
    assert question["page"] == 3
    rest = {
        "Handbook": "kind=pdf&label=1&since=2026-01-02&until=2026-03-04",
        "PDF": "library=handbook&label=1&since=2026-01-02&until=2026-03-04",
        "internal": "library=handbook&kind=pdf&since=2026-01-02&until=2026-03-04",
        "from 2 Jan 2026": "library=handbook&kind=pdf&label=1&until=2026-03-04",
        "to 4 Mar 2026": "library=handbook&kind=pdf&label=1&since=2026-01-02",
    }
    assert {chip["text"]: chip["url"] for chip in page.context["chips"]} == {
        text: f"/search?q=doors&{query}" for text, query in rest.items()
    }
    assert page.context["all_url"] == "/search?q=doors"
    assert "take away what narrows the search" in text_of(page)


@pytest.mark.parametrize(
    ("narrowed", "sentence"),
    [
        ("since=yesterday", "Write the day as in 2026-01-31."),
        ("since=0001-01-01", "greater than or equal to"),
        ("since=2026-03-04&until=2026-01-02", "The last day is before the first. Exchange the two."),
        ("kind=spoons", "not one of the available choices"),
        ("label=3", "not one of the available choices"),
        ("document=7", "valid UUID"),
    ],
)
def test_what_cannot_narrow_is_said_in_the_page(
    house: House, no_broker: None, narrowed: str, sentence: str
) -> None:
    client = signed_in(house.reader)
    page = client.get(f"/search?q=doors&{narrowed}")
    assert page.status_code == 422
    assert sentence in text_of(page)
    part = client.get(f"/search?q=doors&{narrowed}", headers={"HX-Request": "true"})
    assert part.status_code == 200 and sentence in text_of(part)


def test_a_document_of_others_is_not_there(house: House, no_broker: None) -> None:
    board = make_document(make_library(house.tenant, "Board"), "board.txt")
    client = signed_in(house.reader)
    absent = seen(client.get(f"/search?q=x&document={uuid4()}"))
    assert absent[0] == 404
    there = seen(client.get(f"/search?q=x&document={board.id}"))
    assert (there[0], text(there[1])) == (absent[0], text(absent[1]))


def text(body: str) -> str:
    return re.sub(r"[0-9a-f-]{36}", "", body)


def test_more_documents_than_a_page_holds_are_on_others(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library))
    found = hits(passage, passages=60, documents=41, pages=5)
    with answering(broker, "search", lambda _question: found):
        body = signed_in(house.reader).get("/search?q=doors&page=2").content.decode()
    assert "11 to 20 of 41" in body
    assert 'href="?q=doors&amp;page=1"' in body and 'href="?q=doors&amp;page=3"' in body
    assert '<ol class="found" role="list" start="11"' in body


@pytest.mark.parametrize("page", ["0", "-1", "x", "9" * 5000, "٣", ""])
def test_a_page_that_cannot_be_is_the_nearest(house: House, broker: redis.Redis, page: str) -> None:
    with answering(broker, "search", lambda _question: hits()) as asked:
        assert signed_in(house.reader).get("/search", {"q": "doors", "page": page}).status_code == 200
    assert 1 <= asked[0]["page"] <= 100


def test_a_phrase_that_nobody_wrote_can_be_looked_for_in_other_words(
    house: House, broker: redis.Redis
) -> None:
    with answering(broker, "search", lambda _question: hits()) as asked:
        page = signed_in(house.reader).get("/search", {"q": 'the "green door"', "library": "handbook"})
    assert asked[0]["query"] == 'the "green door"'
    assert "No passage holds this exactly" in text_of(page)
    assert 'href="/search?q=the+green+door&amp;library=handbook"' in page.content.decode()


def test_how_many_hold_a_phrase_is_said(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library))
    with answering(broker, "search", lambda _question: hits(passage, passages=12, documents=3)):
        page = signed_in(house.reader).get("/search", {"q": '"close at ten"'})
    assert "12 passages hold this exactly, in 3 documents" in text_of(page)


@pytest.mark.parametrize("signs", ["?!", "***", '""', "«»", "+ - ( )", "\0*", "\u200b", "🙂"])
def test_signs_alone_are_answered_without_a_search(house: House, no_broker: None, signs: str) -> None:
    page = signed_in(house.reader).get("/search", {"q": signs})
    assert page.status_code == 200
    assert "There is no word in this" in text_of(page)


def test_ten_thousand_words_are_searched_by_their_beginning(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library))
    with answering(broker, "search", lambda _question: hits(passage)) as asked:
        page = signed_in(house.reader).get("/search", {"q": "pump " * 10_000})
    assert page.status_code == 200
    assert asked[0]["query"] == ("pump " * 200).strip()
    assert "Only the beginning was looked for" in text_of(page)
    assert AuditPrivate.objects.get(field="query").value == asked[0]["query"]


def test_a_word_without_end_is_cut(house: House, broker: redis.Redis) -> None:
    with answering(broker, "search", lambda _question: hits()) as asked:
        assert signed_in(house.reader).get("/search", {"q": "x" * 100_000}).status_code == 200
    assert len(asked[0]["query"]) == 2000


@pytest.mark.parametrize(
    ("words", "reply", "sentence"),
    [
        ("doors AND windows NOT ten", {}, "mean nothing special here"),
        ("+doors -windows author:me win*", {}, "mean nothing special here"),
        ("двери на ночь", {"met": False}, "None of these words is in what you can read"),
        ("门什么时候关", {"met": False}, "None of these words is in what you can read"),
        ("the of and", {"common": True}, "These words stand in most passages"),
    ],
)
def test_how_odd_words_were_understood_is_said(
    house: House, broker: redis.Redis, words: str, reply: dict[str, bool], sentence: str
) -> None:
    passage = passage_of(make_document(house.library))
    with answering(broker, "search", lambda _question: hits(passage, **reply)):
        page = signed_in(house.reader).get("/search", {"q": words})
    assert page.status_code == 200
    assert sentence in text_of(page) and "rules.txt" in text_of(page)


def test_plain_words_need_no_explanation(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library))
    with answering(broker, "search", lambda _question: hits(passage)):
        page = signed_in(house.reader).get("/search", {"q": 'When do the "doors" close, at -5 °C or 12:30?'})
    assert page.context["notes"] == []


def test_a_phrase_is_not_found_twice_while_another_index_is_being_made(house: House) -> None:
    own = Passage.objects.get(version__document=make_document(house.library, texts=["Lamps, one by one."]))
    others = Passage.objects.get(pk=own.pk)
    others.pk, others.cut = uuid4(), own.cut + 1
    others.save(force_insert=True)
    assert passages_with(scope_for(house.reader), Narrowing(), "one by one", 10) == [own]
