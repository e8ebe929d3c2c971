"""What a question asks for, where that is several things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.answer.parts import parts_of


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        (
            "How long is the notice period? Who signs the letter?",
            ["How long is the notice period?", "Who signs the letter?"],
        ),
        (
            "What is the notice period, and who signs the letter?",
            ["What is the notice period", "who signs the letter?"],
        ),
        (
            "where is the form kept and at what time does the office open",
            ["where is the form kept", "at what time does the office open"],
        ),
        (
            "Wie lang ist die Frist und wer unterschreibt den Brief?",
            ["Wie lang ist die Frist", "wer unterschreibt den Brief?"],
        ),
        (
            "Quelle est la durée du préavis et à quelle heure ouvre le bureau ?",
            ["Quelle est la durée du préavis", "à quelle heure ouvre le bureau ?"],
        ),
        (
            "¿Cuánto dura el plazo y quién firma la carta?",
            ["¿Cuánto dura el plazo", "quién firma la carta?"],
        ),
        (
            "Πόση είναι η προθεσμία; Ποιος υπογράφει την επιστολή;",
            ["Πόση είναι η προθεσμία;", "Ποιος υπογράφει την επιστολή;"],
        ),
    ],
)
def test_several_questions_in_one_are_taken_apart(question: str, parts: list[str]) -> None:
    assert parts_of(question) == parts


@pytest.mark.parametrize(
    "question",
    [
        "How long is the notice period?",
        "What is the notice period and why?",
        "Who are the nurses and doctors of the ward?",
        "How and when did the pump fail?",
        "Did the merger between UPT and what network fail?",
        "notice period, letter and signature",
        "Is it so? Really? No!",
        "",
        "?? ??",
    ],
)
def test_what_asks_for_one_thing_stays_whole(question: str) -> None:
    assert parts_of(question) == [question]


def test_too_many_questions_are_searched_as_one() -> None:
    question = " ".join(f"What is the rule of house {n}?" for n in range(4))
    assert parts_of(question) == [question]


@given(st.text(max_size=300))
def test_nothing_is_asked_that_was_not_in_the_question(question: str) -> None:
    assert all(part in question for part in parts_of(question))


def test_a_pasted_page_is_read_at_once() -> None:
    question = "and how what is " * 20_000
    assert parts_of(question) == [question]
