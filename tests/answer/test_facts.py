"""Numbers, units, names, codes: what a sentence may not have unless its passage has it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.answer.facts import Facts, disagreement


def against(said: str, evidence: str, question: str = "", language: str = "en") -> str:
    return disagreement(Facts(said, language), Facts(evidence, language), Facts(question))


@pytest.mark.parametrize(
    ("said", "evidence"),
    [
        ("It costs 1,577 million.", "Purchases of plant (1,577)"),
        ("It costs $1.58 billion.", "Purchases of plant 1,577"),
        ("it costs 1.577 millions", "Kosten 1577"),
        ("It was on 31.5.2031.", "31 May 2031"),
        ("It was on 5/31/31.", "31 May 2031"),
        ("It rose by 12 %.", "an increase of 11.8 percent"),
        ("It rose by 11.8%.", "up 11,8 Prozent"),
        ("He had 12,345.60 in all.", "zusammen 12.345,60"),
        ("Four were taken.", "4 were taken"),
        ("The 3rd door is closed at 10 pm.", "At 10 p.m. door 3 is closed"),
        ("Take 5 milligrams.", "dose: 5mg"),
        ("Take 5 mg.", "Dose (mg) | 5"),
        ("It ends in May 2031.", "end: 2031-05-31"),
        ("See KS-4471.", "the part KS 4471"),
        ("See E07.", "error E07 means"),
        ("BERT uses NSP.", "BERT is trained by next sentence prediction"),
        ("It is a German firm in Ulm.", "The firm, from Germany, sits in Ulm"),
        ("The Warden signs. The Nurse too.", "the warden signs, the nurse as well"),
        ("1'250 francs", "CHF 1 250"),
        ("It was 3/4 full.", "3/4 full"),
    ],
)
def test_what_is_written_otherwise_agrees(said: str, evidence: str) -> None:
    assert against(said, evidence) == ""


@pytest.mark.parametrize(
    ("said", "evidence", "what"),
    [
        ("It costs 1,578 million.", "Purchases of plant (1,577)", "number"),
        ("It rose by 13 %.", "an increase of 11.8 percent", "number"),
        ("Five were taken.", "4 were taken", "number"),
        ("It was 2.", "It was 1.6", "number"),
        ("It was 125.", "It was 12.5", "number"),
        ("Take 5 g.", "dose: 5 mg", "unit"),
        ("It lasts 3 months.", "It lasts 3 weeks.", "unit"),
        ("It rose by 5 %.", "It rose by $5.", "unit"),
        ("See KS-4472.", "the part KS-4471", "code"),
        ("It was signed by Anna Berg.", "It was signed by Otto Hahn", "name"),
        ("It belongs to BMW.", "It belongs to Volkswagen of Wolfsburg", "name"),
    ],
)
def test_what_is_not_there_is_named(said: str, evidence: str, what: str) -> None:
    assert against(said, evidence) == what


def test_a_number_of_the_question_may_be_repeated_but_no_name() -> None:
    assert against("In 2018 it was closed.", "It was closed.", "What happened in 2018?") == ""
    assert (
        against("The mill of Arnum was closed.", "The mill was closed.", "Was Arnum's mill closed?") == "name"
    )


def test_nouns_of_languages_that_write_them_large_are_no_names() -> None:
    assert against("Die alte Mühle ist der Treffpunkt.", "Man trifft sich an der Mühle.", language="de") == ""


def test_negations_are_heard_in_several_languages() -> None:
    assert all(
        Facts(text).negated
        for text in (
            "It is not so.",
            "They don't.",
            "Es gibt keine.",
            "Ce n'est pas vrai.",
            "No lo sé sin él.",
        )
    )
    assert not any(Facts(text).negated for text in ("It is noted.", "A knot.", "Die Kneipe ist offen."))


@given(st.integers(0, 10**9), st.sampled_from(["", ",", "."]))
def test_any_number_agrees_with_itself_however_it_is_grouped(number: int, mark: str) -> None:
    written = f"{number:,}".replace(",", mark)
    assert any(Decimal(number) in one.values for one in Facts(f"It is {written} now.").numbers)
    assert against(f"It is {written} now.", f"It was {number}.") == ""


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_is_too_odd(said: str, evidence: str) -> None:
    assert against(said, evidence) in {"", "number", "unit", "code", "name"}
    assert against(said, said) in {"", "unit", "code", "name"}
