"""The prompt never grows over its budget, and the best sentences go in first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from muniment.documents.models import Document, Passage, Version
from workers.answer.pack import FRAME_TOKENS, pack
from workers.answer.retrieve import Candidate


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def candidate(text: str, best: str) -> Candidate:
    document = Document(id=uuid4(), name="rules.txt", title="Rules")
    passage = Passage(id=uuid4(), version=Version(id=uuid4(), document=document), text=text, heading="One")
    start = text.index(best)
    return Candidate(passage, 1.0, start, start + len(best), 0.8, 0.5)


LONG = (
    "Before that comes this. The limit is forty hours. After it follows more. " + "Filler words here. " * 30
)


def test_everything_goes_in_whole_when_there_is_room() -> None:
    packed = pack([candidate(LONG, "The limit is forty hours.")] * 3, 10_000, count_words)
    assert [excerpt.whole for excerpt in packed.excerpts] == [True, True, True]
    assert packed.left_out == 0


def test_best_sentences_of_many_come_before_the_whole_of_one() -> None:
    packed = pack([candidate(LONG, "The limit is forty hours.")] * 3, 90, count_words)
    assert len(packed.excerpts) == 3
    assert not any(excerpt.whole for excerpt in packed.excerpts)
    assert "The limit is forty hours." in packed.excerpts[2].text


def test_a_core_is_the_best_sentence_with_its_neighbours() -> None:
    packed = pack([candidate(LONG, "The limit is forty hours.")], 40, count_words)
    assert packed.excerpts[0].text == (
        "Before that comes this. The limit is forty hours. After it follows more."
    )


def test_a_core_in_a_table_begins_with_the_rows_that_name_its_columns() -> None:
    rows = ["Level | Told | Closed", "1 | chief | 30 days", "2 | control room | 20 days", "3 | all | 15 days"]
    filler = "Filler words here. " * 9
    text = "\n".join([filler, *rows, filler])
    packed = pack([candidate(text, "3 | all | 15 days")], 40, count_words)
    assert "\n".join(rows) in packed.excerpts[0].text
    assert not packed.excerpts[0].whole


def test_a_weak_candidate_comes_after_the_whole_of_a_strong_one() -> None:
    strong, weak = candidate(LONG, "The limit is forty hours."), candidate(LONG, "After it follows more.")
    packed = pack([strong, replace(weak, similarity=0.1)], 115, count_words)
    assert [excerpt.whole for excerpt in packed.excerpts] == [True]


def test_what_does_not_fit_is_counted_as_left_out() -> None:
    packed = pack([candidate(LONG, "The limit is forty hours.")] * 5, 60, count_words)
    assert packed.left_out == 5 - len(packed.excerpts)
    assert packed.left_out > 0


def test_nothing_found_packs_nothing() -> None:
    packed = pack([], 100, count_words)
    assert packed.excerpts == [] and packed.left_out == 0


@given(st.integers(1, 8), st.integers(1, 400))
def test_the_budget_holds_from_the_second_passage_on(passages: int, budget: int) -> None:
    packed = pack([candidate(LONG, "The limit is forty hours.")] * passages, budget, count_words)
    spent = sum(len(excerpt.text.split()) + FRAME_TOKENS + 2 for excerpt in packed.excerpts)
    assert spent == packed.tokens
    assert spent <= budget or len(packed.excerpts) == 1
    numbers = [excerpt.n for excerpt in packed.excerpts]
    assert numbers == sorted(set(numbers))
