"""Where passages stand, which say the same, what sorts them again, and which sentences may be shown."""

from __future__ import annotations

from dataclasses import replace

from pytest_django import Settings

from muniment.documents.models import Passage
from muniment.documents.queries import places_of, published_as
from tests.factories import make_document, publish_version, scope_for
from tests.house import House, make_house
from workers.answer.retrieve import (
    RERANKED,
    Ranked,
    reranked,
    reranking,
    without_repeats,
    worth_showing,
)
from workers.engines import EngineFacts
from workers.engines.engine import OpenAIEngine


def shown(text: str, heading: str) -> list[str]:
    return [text[start:end] for start, end in worth_showing(Passage(text=text, heading=heading))]


def test_a_heading_is_not_the_best_sentence() -> None:
    text = "Annual leave\nEverybody has 28 days. Apprentices have 30."
    assert shown(text, "Rules › Annual leave") == ["Everybody has 28 days.", "Apprentices have 30."]


def test_a_heading_over_two_lines_is_one_too() -> None:
    text = "Leave in the year of joining\nor leaving\n\nIt is counted by months."
    assert shown(text, "Leave in the year of joining or leaving") == ["It is counted by months."]


def test_a_passage_of_headings_alone_shows_them() -> None:
    assert shown("Annual leave", "Rules › Annual leave") == ["Annual leave"]


def test_passages_of_what_is_published_have_their_place_and_no_others(house: House) -> None:
    document = make_document(house.library, "rules.txt", ["one", "two", "three"])
    old = [passage.id for passage in Passage.objects.filter(version=document.current)]
    publish_version(document, ["first", "second"])
    new = list(Passage.objects.filter(version=document.current).order_by("ordinal"))
    strange = make_document(make_house().library, "strange.txt", ["theirs"])
    theirs = [passage.id for passage in Passage.objects.filter(version=strange.current)]

    scope = scope_for(house.reader)
    published = published_as(scope, [document.id, strange.id])
    found = places_of(scope, published.values(), [*old, *(one.id for one in new), *theirs])
    assert {id: (place.ordinal, place.of) for id, place in found.items()} == {
        one.id: (at, 2) for at, one in enumerate(new)
    }


def ranked(house: House, **texts: str) -> list[Ranked]:
    """A document for each text, best first."""
    documents = [make_document(house.library, f"{name}.txt", [text]) for name, text in texts.items()]
    passages = [Passage.objects.get(version=document.current) for document in documents]
    return [Ranked(passage, 1 / (at + 1)) for at, passage in enumerate(passages)]


def test_what_says_the_same_stands_under_the_best_of_it(house: House) -> None:
    same, other = "The doors of the works are closed at ten. " * 5, "Who is ill calls the office. " * 5
    found = without_repeats(ranked(house, draft=same, leave=other, final=same))
    told = [
        (one.passage.version.document.name, [p.version.document.name for p in one.alike]) for one in found
    ]
    assert told == [("draft.txt", ["final.txt"]), ("leave.txt", [])]
    assert [one.score for one in found] == [1, 1 / 2]


FACTS = EngineFacts("m", "", 8192, "e", "", 384, 256, "", reranker="own", rerank_ms=10.0)


def test_a_cross_encoder_moves_the_first_ones_and_leaves_the_rest(house: House) -> None:
    found = ranked(house, **{f"n{n}": f"Text {n}." for n in range(RERANKED + 2)})
    backwards = reranked(lambda _question, texts: [float(n) for n in range(len(texts))], "Who?", found)
    names = [int(one.passage.version.document.name[1:-4]) for one in backwards]
    assert names == [*range(RERANKED - 1, -1, -1), RERANKED, RERANKED + 1]
    assert [one.score for one in backwards] == [one.score for one in found]
    assert reranked(lambda _question, texts: [0.0] * len(texts), "Who?", found) == found


def test_a_cross_encoder_that_takes_too_long_here_is_left_out(settings: Settings) -> None:
    engine = OpenAIEngine("unix:/nowhere")
    settings.RERANK_MS = 10 * RERANKED
    assert reranking(engine, FACTS) == engine.rerank
    settings.RERANK_MS -= 1
    assert reranking(engine, FACTS) is None
    assert reranking(engine, replace(FACTS, reranker="", rerank_ms=0.0)) is None
    engine.close()
