"""What was typed, taken apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.search.asked import MOST_CHARS, MOST_EXACT, MOST_WORDS, Asked, asked


@pytest.mark.parametrize(
    ("typed", "text", "phrases", "codes", "words"),
    [
        ("error E07 of the pump", "error E07 of the pump", [], ["E07"], "error of the pump"),
        ("KS-4471.", "KS-4471.", [], ["KS-4471"], ""),
        ("(1,577) or 12.5%?", "(1,577) or 12.5%?", [], ["1,577", "12.5"], "or"),
        ('  "annual   leave"  days ', "annual leave days", ["annual leave"], [], "days"),
        ("“green door” and «red  door»", "green door and red door", ["green door", "red door"], [], "and"),
        ("„zu Hause“", "zu Hause", ["zu Hause"], [], ""),
        ('"never closed', "never closed", [], [], "never closed"),
        ('a 12" pipe and a 3" one', "a 12 pipe and a 3 one", [], ["12", "3"], "a pipe and one"),
        ("travel-costs.xlsx", "travel-costs.xlsx", [], ["travel-costs.xlsx"], ""),
        ("pump_station", "pump_station", [], ["pump_station"], ""),
        ('""', "", [], [], ""),
        ('"KS-4471"', "KS-4471", ["KS-4471"], [], ""),
        ("doors\0at\u202e ten", "doors at ten", [], [], "doors at ten"),
    ],
)
def test_phrases_codes_and_words_are_told_apart(
    typed: str, text: str, phrases: list[str], codes: list[str], words: str
) -> None:
    found = asked(typed)
    assert (found.text, list(found.phrases), list(found.codes)) == (text, phrases, codes)
    assert " ".join(found.words) == words


def test_the_name_of_a_file_may_have_spaces() -> None:
    assert asked("Annual report 2024.pdf").names == ("Annual report 2024.pdf", "2024.pdf")
    assert asked("annual report").names == ()


@given(st.text(max_size=300) | st.text(alphabet='ab1"“”«»*+-:() \n', max_size=300))
def test_whatever_is_typed_is_taken_apart(typed: str) -> None:
    found = asked(typed)
    assert isinstance(found, Asked)
    assert len(found.text) <= MOST_CHARS and len(found.text.split()) <= MOST_WORDS
    assert max(len(found.phrases), len(found.codes)) <= MOST_EXACT
    assert '"' not in found.text and "\0" not in found.typed
    assert all(any(one.isalnum() for one in phrase) for phrase in found.phrases)
    assert set(found.codes).isdisjoint(found.words)
    # What is kept means the same when it is read again, by a worker.
    assert asked(found.typed) == found or found.cut
