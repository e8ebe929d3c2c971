"""Words on a page: packed, unpacked, and the boxes over a range of text."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.documents.layout import Box, WordBox, boxes_of, pack_words, unpack_words
from tests.factories import words_of

coordinate = st.floats(-100, 5000, allow_nan=False).map(lambda value: round(value, 1))
word = st.tuples(st.integers(0, 10**7), st.integers(0, 10**7), coordinate, coordinate, coordinate, coordinate)


@given(st.lists(word, max_size=50))
def test_what_is_packed_comes_out_again(words: list[WordBox]) -> None:
    assert unpack_words(pack_words(words)) == words
    assert unpack_words(memoryview(pack_words(words))) == words


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        unpack_words(zlib.compress(json.dumps([2, []]).encode()))


def test_words_of_one_line_share_a_box() -> None:
    words = words_of("Doors close at ten.")
    assert boxes_of(words, 0, 11) == [Box(50, 100, 66, 12)]


def test_a_range_takes_the_words_it_touches_and_no_others() -> None:
    words = words_of("Doors close at ten.")
    assert boxes_of(words, 7, 8) == [Box(86, 100, 30, 12)]
    assert boxes_of(words, 5, 6) == []
    assert boxes_of(words, 100, 200) == []
    assert boxes_of(words, 8, 8) == []


def test_each_line_has_its_own_box() -> None:
    words = [(0, 5, 50.0, 100.0, 80.0, 112.0), (6, 9, 50.0, 116.0, 70.0, 128.0)]
    assert boxes_of(words, 0, 9) == [Box(50, 100, 30, 12), Box(50, 116, 20, 12)]


def test_columns_beside_each_other_are_not_joined() -> None:
    words = [(0, 5, 50.0, 100.0, 80.0, 112.0), (6, 9, 300.0, 100.0, 330.0, 112.0)]
    assert len(boxes_of(words, 0, 9)) == 2


def test_a_raised_number_stays_in_its_line() -> None:
    words = [(0, 5, 50.0, 100.0, 80.0, 112.0), (5, 6, 80.0, 98.0, 84.0, 106.0)]
    assert boxes_of(words, 0, 6) == [Box(50, 98, 34, 14)]
