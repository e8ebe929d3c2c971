"""Every reason for which a file can fail is said in a sentence."""

from __future__ import annotations

import pytest

from muniment.documents.messages import MESSAGES, UNKNOWN, message, warning
from workers.ingest.errors import BY_CODE

# Codes of the pipeline itself, and of what it needs.
OTHERS = {"interrupted", "index_unavailable", "engine_unavailable", "disk_full"}


@pytest.mark.parametrize("code", sorted({*BY_CODE, *OTHERS}))
def test_each_code_has_its_words(code: str) -> None:
    said = message(code)
    assert said is not UNKNOWN
    assert str(said.text).endswith(".")
    assert len(str(said.title)) <= 20
    assert "%" not in str(said.text)


def test_no_words_are_left_over() -> None:
    assert set(MESSAGES) == {*BY_CODE, *OTHERS}


def test_a_code_nobody_knows_still_says_what_to_do() -> None:
    assert "administrator" in str(message("gremlins").text)


def test_a_remark_on_a_file_is_a_sentence() -> None:
    assert warning("pages_not_read:1, 4-6") == "These pages could not be read and are not searched: 1, 4-6."
    assert warning("attachment_not_read:a: b.pdf") == (
        "This attachment could not be read and is not searched: a: b.pdf."
    )
    assert warning("gremlins:3") == ""
