"""Which sentences of a passage may be shown as its best one."""

from __future__ import annotations

from muniment.documents.models import Passage
from workers.answer.retrieve import worth_showing


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
