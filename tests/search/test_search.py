"""The page for finding passages."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.test import Client

from muniment.audit.models import AuditPrivate
from muniment.documents.models import Document, Passage
from muniment.scope import Label
from muniment.search import services
from tests.factories import make_document, make_library, publish_version
from tests.house import House, events, make_house, seen, signed_in
from tests.worker import Question, answering

TEXT = "Windows are shut. Doors close at ten. Nobody stays."


def passage_of(document: Document) -> Passage:
    return Passage.objects.get(version=document.current)


def hits(*passages: Passage, best: tuple[int, int] = (18, 37)) -> dict[str, Any]:
    return {
        "hits": [
            {"passage": str(passage.id), "score": 0.5, "best_start": best[0], "best_end": best[1]}
            for passage in passages
        ]
    }


def test_passages_are_shown_with_their_best_sentence_marked(house: House, broker: redis.Redis) -> None:
    document = make_document(house.library, texts=[TEXT])
    passage = passage_of(document)
    with answering(broker, "search", lambda _question: hits(passage)) as asked:
        page = signed_in(house.reader).get("/search?q=when+do+doors++close")
    body = page.content.decode()
    assert page.status_code == 200
    assert "<mark>Doors close at ten.</mark>" in body
    assert f"/documents/{document.current_id}/pages/1?passage={passage.id}&amp;from=18&amp;to=37" in body
    assert "p. 1" in body and "rules.txt" in body
    assert asked[0]["query"] == "when do doors close"
    assert (asked[0]["tenant"], asked[0]["person"]) == (str(house.tenant.id), str(house.reader.id))


def test_the_link_leads_to_the_marked_page(house: House, broker: redis.Redis) -> None:
    passage = passage_of(make_document(house.library, texts=[TEXT]))
    client = signed_in(house.reader)
    with answering(broker, "search", lambda _question: hits(passage)):
        (card,) = client.get("/search?q=doors").context["passages"]
    assert '<mark class="best">Doors close at ten.</mark>' in client.get(card["url"]).content.decode()


def test_one_library_alone_is_searched_when_chosen(house: House, broker: redis.Redis) -> None:
    with answering(broker, "search", lambda _question: hits()) as asked:
        page = signed_in(house.reader).get("/search?q=doors&library=handbook")
    assert asked[0]["libraries"] == [str(house.library.id)]
    assert page.context["searched"]["where"] == "Handbook"


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
    assert [card["document_name"] for card in page.context["passages"]] == ["mine.txt"]


def test_text_of_documents_is_text(house: House, broker: redis.Redis) -> None:
    evil = "<img src=x onerror=alert(1)> <script>alert(2)</script>"
    passage = passage_of(make_document(house.library, "<b>name</b>.txt", [evil]))
    with answering(broker, "search", lambda _question: hits(passage, best=(2, 30))):
        body = signed_in(house.reader).get("/search?q=<script>alert(3)</script>").content.decode()
    for html in ("<img src=x", "<script>alert", "<b>name"):
        assert html not in body


def test_a_library_of_others_is_not_there(house: House, no_broker: None) -> None:
    make_library(house.tenant, "Board")
    client = signed_in(house.reader)
    absent = seen(client.get("/search?q=x&library=nowhere"))
    assert absent[0] == 404
    assert seen(client.get("/search?q=x&library=board")) == absent


def test_words_without_end_are_refused_in_the_page(house: House, no_broker: None) -> None:
    page = signed_in(house.reader).get("/search", {"q": "x" * 100_000})
    assert page.status_code == 422
    assert "8,000 characters" in page.content.decode()


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
    with answering(broker, "search", lambda _question: hits(passage, best=(1000, 1019))):
        (card,) = signed_in(house.reader).get("/search?q=doors").context["passages"]
    assert card["best"] == "Doors close at ten."
    assert len(card["before"]) < 260 and card["before"].startswith("… word")
    assert len(card["after"]) < 260 and card["after"].endswith("more …")
