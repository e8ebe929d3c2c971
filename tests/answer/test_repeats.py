"""Which texts take no place of their own because a better one says the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.answer.repeats import FEWEST_WORDS, firsts

RULE = (
    "Every pump of the works is switched off by the shift lead before anybody opens its cover, and a sign "
    "with the name of who did it hangs at the switch until the cover is closed again."
)
RULE_DE = (
    "Jede Pumpe des Werks wird von der Schichtleitung abgeschaltet, bevor jemand ihren Deckel öffnet, und "
    "ein Schild mit dem Namen hängt so lange am Schalter, bis der Deckel wieder geschlossen ist."
)
RULE_JA = "点検の前には必ず当直の責任者が電源を切り、名前を書いた札を掛けてから蓋を開けること。"
OTHER = (
    "Who is ill calls the office before eight in the morning and brings a doctor's note on the third day, "
    "which the office keeps for a year and shows to nobody but the head of the department."
)


def test_the_same_text_again_takes_no_place() -> None:
    assert firsts([RULE, OTHER, RULE, OTHER, RULE]) == [0, 1, 0, 1, 0]


@pytest.mark.parametrize(
    "again",
    [
        RULE.upper(),
        RULE.replace(" ", "\n  "),
        RULE.replace("hangs at the switch", "hangs on the switch"),
        RULE.rpartition(" until")[0] + ".",
    ],
)
def test_another_look_one_word_or_a_piece_of_it_is_the_same(again: str) -> None:
    assert firsts([RULE, again]) == [0, 0]


@pytest.mark.parametrize("rule", [RULE_DE, RULE_JA])
def test_other_languages_and_scripts_without_spaces(rule: str) -> None:
    assert firsts([rule, rule]) == [0, 0]


def test_a_text_that_says_more_than_the_better_one_has_its_place() -> None:
    assert firsts([RULE, f"{RULE} {OTHER}"]) == [0, 1]
    assert firsts([f"{RULE} {OTHER}", RULE]) == [0, 0]


@pytest.mark.parametrize("figures", [("2023", "2024"), ("12.5 mg", "125 mg"), ("KS-4471", "KS-4472")])
def test_another_figure_makes_another_statement(figures: tuple[str, str]) -> None:
    one, other = (f"{RULE} {OTHER} As of {figure}." for figure in figures)
    assert firsts([one, other]) == [0, 1]


def test_short_texts_say_too_little_to_be_told_by() -> None:
    assert firsts(["Yes, for all of the staff."] * 2) == [0, 1]
    words = [f"word{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    for count, expected in ((FEWEST_WORDS - 1, [0, 1]), (FEWEST_WORDS, [0, 0])):
        assert firsts([" ".join(words[:count])] * 2) == expected


def test_half_of_a_text_here_and_half_there_is_no_repeat() -> None:
    assert firsts([RULE, OTHER, f"{RULE} {OTHER}"]) == [0, 1, 2]


def test_nothing_at_all_is_nothing() -> None:
    assert firsts([]) == []
    assert firsts(["", "", "…"]) == [0, 1, 2]


@given(st.lists(st.lists(st.sampled_from("abcd 1"), max_size=60).map("".join), max_size=12))
def test_what_repeats_a_text_repeats_one_that_has_its_place(texts: list[str]) -> None:
    found = firsts(texts)
    assert all(found[first] == first <= at for at, first in enumerate(found))
