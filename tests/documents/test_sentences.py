"""Where sentences end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.documents.sentences import sentences


def cut(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["It rains.", "Stay in!", "Why?", "Because…"],
        ["Dr. Smith paid Acme Inc. in May.", "The U.S. economy grew.", "It fell, e.g. in No. 5 on p. 7."],
        ["He lives in the U.S.", "The others do not."],
        ["J. R. R. Tolkien wrote it.", "He said no.", "We left."],
        ["Revenue was $1.2 million in 2018.", "In 2019 it fell.[3]", "Then (see Fig. 2) it rose."],
        ['"Really?"', "“Yes.”", "She went."],
        ["Am 3. Mai kam er, vgl. Abs. 2.", "Das war alles."],
        ["他说。", "你好！", "「是。」", "再见"],
        ["यह सच है।", "ठीक है"],
        ["هل هذا صحيح؟", "نعم۔", "انتهى."],
        ["Τι κάνεις;", "Καλά."],
    ],
)
def test_sentences_end_where_people_end_them(parts: list[str]) -> None:
    glue = "" if parts[0] == "他说。" else " "
    assert cut(glue.join(parts)) == parts


def test_a_wrapped_line_goes_on_and_a_short_one_ends() -> None:
    wrapped = "This line was wrapped by the program that sent it to us at about seventy\nCharacters a line."
    assert cut(wrapped) == [wrapped]
    assert cut("Agenda\nWelcome\n\nLunch\nand coffee") == ["Agenda", "Welcome", "Lunch\nand coffee"]
    assert cut("1. Knock\n2. Enter") == ["1. Knock", "2. Enter"]


@given(st.text(alphabet=st.one_of(st.sampled_from('.!?。 \n"a B1'), st.characters()), max_size=200))
def test_sentences_tile_any_text(text: str) -> None:
    position = 0
    for start, end in sentences(text):
        assert text[position:start].strip() == ""
        assert text[start:end] == text[start:end].strip() != ""
        position = end
    assert text[position:].strip() == ""
