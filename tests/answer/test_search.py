"""What a search finds, in which order and in what pieces: over a real index and real rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.documents.models import Document, Passage, Version
from muniment.scope import Label
from muniment.search.asked import Narrowing, asked
from tests.engines.index_process import direction, make_point
from tests.factories import make_document, make_library, publish_version, scope_for
from tests.house import House
from workers.answer import search as searching
from workers.answer.search import Results, search
from workers.engines.index import QdrantIndex
from workers.engines.sparse import passage_vector, stemmer_of
from workers.ingest.pipeline import searched_text

# What is asked means the same as every passage unless a test says otherwise: words decide.
SAME = direction(0)


@pytest.fixture
def shelf(house: House, index: QdrantIndex) -> Shelf:
    return Shelf(house, index)


class Shelf:
    """Puts documents on the shelf, as ingest does, and searches as one who may read."""

    def __init__(self, house: House, index: QdrantIndex) -> None:
        self.house, self.index = house, index

    def put(self, name: str, *texts: str, axis: int = 0, **rest: Any) -> Document:
        document = make_document(rest.pop("library", self.house.library), name, texts, **rest)
        self.write(document, axis)
        return document

    def write(self, document: Document, axis: int = 0) -> None:
        points = []
        for passage in Passage.objects.filter(version=document.current):
            point = make_point(
                document.tenant,
                searched_text(document, passage),
                axis,
                id=passage.id,
                library=document.library_id,
                document=document.id,
                version=passage.version_id,
                label=document.label,
            )
            words = passage_vector(searched_text(document, passage), stemmer_of(passage.version.language))
            points.append(replace(point, sparse=words))
        self.index.upsert(points)

    def fill(self, *texts: str, name: str = "other", times: int = 1) -> None:
        for number in range(times):
            self.put(f"{name}-{number}.txt", *texts)

    def search(self, words: str, page: int = 1, dense: Sequence[float] = SAME, **narrowed: Any) -> Results:
        scope, where = scope_for(self.house.reader), Narrowing(**narrowed)
        return search(scope, self.index, asked(words), dense, where, page)

    def names(self, words: str, **narrowed: Any) -> list[str]:
        shown = self.search(words, **narrowed).shown
        return list(dict.fromkeys(one.passage.version.document.name for one in shown))


def marked(results: Results, at: int = 0) -> list[str]:
    one = results.shown[at]
    return [one.passage.text[start:end] for start, end in one.marks]


def best(results: Results, at: int = 0) -> str:
    one = results.shown[at]
    return one.passage.text[slice(*one.best)]


@pytest.mark.parametrize(
    ("code", "holding", "alike"),
    [
        ("E07", "The display shows E07 when the pump is dry.", "Codes E06, E08 and E070 are of the pump."),
        ("KS-4471", "Order the seal KS-4471 from the store.", "Order KS-4472 or 4417 KS from the store."),
        ("ks-4471", "Order the seal KS–4471 from the store.", "Order KS-44711 or KS-447 from the store."),
        (
            "1,577",
            "In that year 1,577 meters were read.",
            "In that year 15,77, 1577 and 11,577 were read.",
        ),
        ("12.5", "A dose of 12.5 mg is given.", "A dose of 125 mg or 112.5 or 12.55 mg is given."),
        ("§4", "See § 4 of the rules.", "See § 14 and § 40 of the rules."),
        ("2026-01-31", "It ends on 2026-01-31 at noon.", "It ends on 2026-01-30 or 31 of 01 in 2026."),
        ("DE02120300000000202051", "Pay to DE02120300000000202051.", "Pay to DE02120300000000202052."),
        ("v2.0", "It is solved in v2.0 of the program.", "It is solved in v2.01 and v12.0 of the program."),
    ],
)
def test_what_is_meant_to_the_letter_is_found_alone(
    shelf: Shelf, code: str, holding: str, alike: str
) -> None:
    shelf.put("alike.txt", *[alike] * 3)
    shelf.put("holding.txt", "Of something else. " * 20 + holding)
    results = shelf.search(code)
    assert [one.passage.version.document.name for one in results.shown] == ["holding.txt"]
    assert best(results) == holding
    assert results.met


@pytest.mark.parametrize(
    ("words", "holding"),
    [
        ("what does E07 mean at the pump", "E07: see the book."),
        ("pump seal KS-4471 in the cellar", "KS-4471 is a part."),
        ("how many meters 1,577 pump", "1,577 in all."),
    ],
)
def test_who_holds_the_code_comes_before_who_has_all_other_words(
    shelf: Shelf, words: str, holding: str
) -> None:
    text = "What does the pump mean, how many meters of seal in the cellar at the pump."
    for number in range(30):
        shelf.put(f"words-{number}.txt", *[text] * 10)
    shelf.put("code.txt", "Much else. " * 40 + holding, axis=1)
    results = shelf.search(words)
    assert results.shown[0].passage.version.document.name == "code.txt"
    assert best(results) == holding
    assert results.documents > 1


def test_a_code_written_in_another_way_comes_after_the_very_one(shelf: Shelf) -> None:
    shelf.put("b.txt", "The seal KS4471 is round.")
    shelf.put("c.txt", "The seal KS 4471 is round.")
    shelf.put("a.txt", "The seal KS-4471 is round.")
    names = shelf.names("KS-4471")
    assert names[0] == "a.txt" and set(names) == {"a.txt", "b.txt", "c.txt"}


@pytest.mark.parametrize(
    "name", ["travel-costs.xlsx", "Annual report 2024.pdf", "W-12_v3.docx", "Übersicht Zähler.csv"]
)
def test_a_file_is_found_by_its_name(shelf: Shelf, name: str) -> None:
    shelf.fill("Travel costs, annual report, 2024, W, 12, v3, xlsx, pdf, docx.", times=5)
    shelf.put("mentions.txt", f"The table is in {name} and elsewhere.")
    shelf.put(name, "A row without any of these words.", axis=1)
    assert shelf.names(name)[:2] == [name, "mentions.txt"]
    assert shelf.names(name.upper())[0] == name


def test_no_one_has_the_code(shelf: Shelf) -> None:
    shelf.fill("The pump is dry.", times=3)
    results = shelf.search("E99")
    assert not results.met and results.passages == 3


PHRASE = "the doors close at ten"


def test_a_phrase_is_held_by_all_that_is_found(shelf: Shelf) -> None:
    shelf.fill("At ten the doors close. Close the doors. Ten doors close at the time.", times=5)
    shelf.put("broken.txt", "Every night The  Doors\nclose at TEN. Then all sleep.")
    shelf.put("longer.txt", "As we said, the doors close at tenpence.")
    results = shelf.search(f'"{PHRASE}" porter')
    assert [one.passage.version.document.name for one in results.shown] == ["broken.txt"]
    assert marked(results) == ["The  Doors\nclose at TEN"]


def test_a_phrase_of_words_that_stand_everywhere_is_found(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "CANDIDATES", 5)
    monkeypatch.setattr(searching, "HOLDERS", 5)
    shelf.fill("Ten at close, doors the; ten at close, doors the.", times=9)
    shelf.put("holding.txt", "Much else. " * 30 + "We said The doors close at ten.")
    hidden = make_library(shelf.house.tenant, "Board")
    shelf.put("hidden.txt", "The doors close at ten.", library=hidden)
    assert shelf.names(f'"{PHRASE}"') == ["holding.txt"]


def test_texts_are_looked_through_only_when_the_index_cannot_tell(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "HOLDERS", 5)
    monkeypatch.delattr(searching, "passages_with")
    shelf.fill("Doors of the house.", times=9)
    shelf.put("holding.txt", "The doors close at ten.")
    assert shelf.names(f'"{PHRASE}"') == ["holding.txt"]


def test_a_phrase_in_a_name_is_held_too(shelf: Shelf) -> None:
    shelf.put("Green door.txt", "Of something else.")
    assert shelf.names('"green door"') == ["Green door.txt"]


def test_a_phrase_is_held_in_the_language_of_its_document(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "CANDIDATES", 1)
    monkeypatch.setattr(searching, "MOST_CANDIDATES", 1)
    louder = {f"kurz-{number}.txt": "Ärztinnen, Krankenhäuser." for number in range(3)}
    for name, text in (louder | {"regeln.txt": "Für Krankenhäuser Ärztinnen: " + "so " * 60}).items():
        document = make_document(shelf.house.library, name, [text])
        Version.objects.filter(document=document).update(language="de")
        shelf.write(document, axis=1 if name == "regeln.txt" else 0)
    assert shelf.names('"Krankenhäuser Ärztinnen"') == ["regeln.txt"]


def test_every_phrase_is_held(shelf: Shelf) -> None:
    shelf.put("one.txt", "A green door.")
    shelf.put("both.txt", "A green door and a red door.")
    assert shelf.names('"green door" "red door"') == ["both.txt"]


def test_nobody_holds_a_phrase(shelf: Shelf) -> None:
    shelf.fill("The doors at ten close.", times=2)
    results = shelf.search(f'"{PHRASE}"')
    assert (results.shown, results.passages, results.pages) == ([], 0, 0)


@pytest.mark.parametrize(
    ("words", "text", "expected"),
    [
        ("close the doors", "Doors are closed; a door-closer helps, indoors.", ["Doors", "closed", "door"]),
        ("水泵", "旧水泵维修记录", ["水泵"]),
        ("насосы", "Старые НАСОСЫ качают воду.", ["НАСОСЫ"]),
        ("the of", "The end of it.", ["The", "of"]),
        ("ICU", "The ICU is shut.", ["ICU"]),
        ("KS-4471 seal", "Seals KS-4471 and KS-9.", ["Seals", "KS-4471"]),
    ],
)
def test_words_are_marked_in_every_form(shelf: Shelf, words: str, text: str, expected: list[str]) -> None:
    shelf.put("a.txt", text)
    assert marked(shelf.search(words)) == expected


def test_the_sentence_with_most_of_the_words_is_shown(shelf: Shelf) -> None:
    text = "Doors close at ten. The porter of the night opens them for guests. Guests ring twice."
    shelf.put("a.txt", text)
    assert (
        best(shelf.search("who opens the doors at night")) == "The porter of the night opens them for guests."
    )
    assert best(shelf.search("entrance")) == "Doors close at ten."


@pytest.mark.parametrize("many", [0, 300])
def test_what_narrows_is_asked_of_the_index_and_not_of_the_best_alone(
    shelf: Shelf, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that fits stands behind more passages than are ever fetched."""
    monkeypatch.setattr(searching, "MANY", many)
    board = make_library(shelf.house.tenant, "Board", readers=[shelf.house.reader])
    for number in range(3):
        shelf.put(f"loud-{number}.txt", *["The pump, the pump, the pump."] * 600)
    quiet = shelf.put("quiet.pdf", "Much else. " * 30 + "A pump.", label=Label.PUBLIC, library=board)
    Version.objects.filter(pk=quiet.current_id).update(published_at=datetime(2020, 5, 6, 12, tzinfo=UTC))
    assert "quiet.pdf" not in shelf.names("pump")
    for narrowed in (
        {"libraries": frozenset({board.id})},
        {"kind": "pdf"},
        {"label": Label.PUBLIC},
        {"until": date(2020, 5, 6)},
        {"since": date(2020, 5, 6), "until": date(2020, 5, 6)},
        {"document": quiet.id},
    ):
        assert shelf.names("pump", **narrowed) == ["quiet.pdf"], narrowed
        assert shelf.names('"a pump"', **narrowed) == ["quiet.pdf"], narrowed
    for empty in ({"until": date(2020, 5, 5)}, {"kind": "slides"}, {"kind": "pdf", "label": Label.INTERNAL}):
        assert shelf.names("pump", **empty) == []
        assert shelf.names("quiet.pdf", **empty) == []


def test_narrowing_to_most_documents_finds_the_same(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.fill("The pump.", "A pump and the boiler.", times=5)
    everywhere = [one.passage.id for one in shelf.search("pump boiler").shown]
    for many in (0, 300):
        monkeypatch.setattr(searching, "MANY", many)
        narrowed = shelf.search("pump boiler", since=date(2020, 1, 1))
        assert [one.passage.id for one in narrowed.shown] == everywhere


def test_a_label_above_the_clearance_narrows_to_nothing(shelf: Shelf) -> None:
    shelf.put("secret.txt", "The pump.", label=Label.SECRET)
    shelf.put("open.txt", "The pump.")
    assert shelf.names("pump", label=Label.SECRET) == []
    assert shelf.names("pump") == ["open.txt"]


def test_replaced_and_deleted_ones_are_not_found(shelf: Shelf) -> None:
    replaced = shelf.put("replaced.txt", "The old pump E07.")
    publish_version(replaced, ["The new boiler."])
    gone = shelf.put("gone.txt", "The old pump E07.")
    Document.objects.filter(pk=gone.pk).update(deleted_at=datetime.now(UTC))
    assert shelf.names("E07 pump") == [] == shelf.names('"old pump"')


def test_what_is_not_published_any_more_does_not_stand_before_the_rest(shelf: Shelf) -> None:
    replaced = shelf.put("replaced.txt", *["The pump, the pump, the pump."] * 300)
    publish_version(replaced, ["The boiler."])
    shelf.put("there.txt", "Much else. " * 30 + "A pump.")
    assert shelf.names("pump") == ["there.txt"]


def test_a_document_shows_three_passages_and_says_how_many_more(shelf: Shelf) -> None:
    long = shelf.put("long.txt", *[f"The pump of house {n}." for n in range(50)])
    shelf.put("short.txt", "The pump.")
    results = shelf.search("pump")
    assert [one.passage.version.document.name for one in results.shown].count("long.txt") == 3
    assert results.more == {long.id: 47}
    assert (results.passages, results.documents, results.pages) == (51, 2, 1)
    alone = [shelf.search("pump", page, document=long.id) for page in (1, 2, 3, 9)]
    assert [len(page.shown) for page in alone] == [20, 20, 10, 10]
    assert alone[0].pages == 3 and alone[0].more == {}
    shown = {one.passage.id for page in alone for one in page.shown}
    assert len(shown) == 50


def test_pages_show_every_document_once(shelf: Shelf) -> None:
    shelf.fill("The pump.", "The pump again.", times=23)
    pages = [shelf.search("pump", page) for page in (1, 2, 3)]
    names = [[one.passage.version.document.name for one in page.shown] for page in pages]
    assert [len(set(some)) for some in names] == [10, 10, 3]
    assert len({name for some in names for name in some}) == 23


RULE = (
    "The pump is switched off by the shift lead before anybody opens its cover, and a sign with the name of "
    "who did it hangs at the switch until the cover is closed again."
)


def alike(results: Results) -> dict[str, list[str]]:
    """The documents of what is shown, with those that say the same."""
    return {
        one.passage.version.document.name: [other.version.document.name for other in one.alike]
        for one in results.shown
    }


def test_the_same_text_is_shown_once_and_says_where_else_it_stands(shelf: Shelf) -> None:
    """The file that was asked for is the one, and who may not read a copy does not hear of it."""
    for name in ("draft.txt", "final.txt", "copy.txt"):
        shelf.put(name, RULE)
    shelf.put("other.txt", RULE.replace("The pump", "The pump of house 7"))
    shelf.put("secret.txt", RULE, label=Label.SECRET)
    shelf.put("board.txt", RULE, library=make_library(shelf.house.tenant, "Board"))
    results = shelf.search("final.txt pump switch")
    told = alike(results)
    assert set(told) == {"final.txt", "other.txt"}
    assert sorted(told["final.txt"]) == ["copy.txt", "draft.txt"] and told["other.txt"] == []
    assert (results.passages, results.documents) == (2, 2)


def test_who_asks_for_a_phrase_or_in_one_document_sees_all_that_hold_it(shelf: Shelf) -> None:
    for name in ("draft.txt", "final.txt"):
        document = shelf.put(name, RULE, RULE)
    assert shelf.search('"switched off by"').documents == 2
    within = shelf.search("pump", document=document.id)
    assert (within.passages, len(within.shown)) == (2, 2)


def test_a_document_keeps_what_it_alone_says(shelf: Shelf) -> None:
    shelf.put("old.txt", RULE, "In winter the pump stands still.")
    shelf.put("new.txt", RULE, "In winter the pump runs at night.")
    results = shelf.search("pump in winter")
    assert results.documents == 2 and results.passages == 3


def test_words_that_nobody_wrote_and_words_that_all_wrote_are_told(shelf: Shelf) -> None:
    shelf.fill("The pump of the mill and the boiler.", times=30)
    shelf.put("rare.txt", "The chandelier.")
    assert shelf.search("chandelier").common is False
    assert shelf.search("the of and").common is True
    assert shelf.search("двери").met is False
    assert shelf.search("pump двери").met is True


letters = st.text(alphabet="abcdefgh", min_size=1, max_size=3)
digits = st.text(alphabet="0123456789", min_size=1, max_size=4)
codes = st.builds(
    lambda head, joint, tail, more: f"{head}{joint}{tail}{more}",
    letters | digits,
    st.sampled_from(["", "-", "/", "_", "."]),
    digits,
    st.sampled_from(["", "a", "-b", ".1"]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(code=codes, others=st.lists(codes, max_size=6))
def test_any_code_that_stands_somewhere_is_found_first(shelf: Shelf, code: str, others: list[str]) -> None:
    library = make_library(shelf.house.tenant, f"Library {len(Document.objects.all())}")
    library.grants.create(person=shelf.house.reader)
    for number, other in enumerate(others):
        shelf.put(f"{chr(97 + number)}.txt", f"Part {other} is of iron.", library=library)
    shelf.put("z.txt", f"Part {code.upper()} is of wood.", library=library)
    results = shelf.search(code, libraries=frozenset({library.id}))
    assert results.met
    assert code in results.shown[0].passage.text.casefold()
    assert "z.txt" in [one.passage.version.document.name for one in results.shown]
