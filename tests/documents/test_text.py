"""A document's text, put together again from its passages."""

from __future__ import annotations

import pytest

from muniment.documents.models import Version
from muniment.documents.queries import text_of
from tests.factories import make_document
from tests.house import House

TEXTS = ["Doors close at ten.", "Windows too.", "Nobody stays."]
WHOLE = "\n\n".join(TEXTS)


@pytest.fixture
def version(house: House) -> Version:
    return make_document(house.library, texts=TEXTS).versions.get()


def test_the_whole_text_comes_back(version: Version) -> None:
    assert text_of(version, 0, len(WHOLE)) == WHOLE


def test_every_range_of_it_is_that_range(version: Version) -> None:
    for start in range(0, len(WHOLE), 3):
        for end in range(start, len(WHOLE) + 1, 5):
            assert text_of(version, start, end) == WHOLE[start:end]


def test_beyond_the_end_is_white_space(version: Version) -> None:
    text = text_of(version, 0, len(WHOLE) + 4)
    assert text.rstrip() == WHOLE and len(text) == len(WHOLE) + 4
