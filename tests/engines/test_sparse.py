"""Which words two texts share, and what they weigh."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engines import SparseVector
from workers.engines.sparse import (
    K1,
    LANGUAGES,
    STEMMERS,
    USUAL,
    UnknownLanguage,
    passage_vector,
    query_vector,
    stemmer_of,
    token_index,
    tokens,
)


def weight(vector: SparseVector, token: str) -> float:
    return dict(zip(vector.indices, vector.values, strict=True)).get(token_index(token), 0.0)


def test_words_are_folded_and_stemmed() -> None:
    assert tokens("Replacing the LAMPS, replaced a lamp.") == ["replac", "the", "lamp", "replac", "a", "lamp"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KS-4471", ["ks4471", "ks", "4471"]),
        ("ks4471", ["ks4471", "ks", "4471"]),
        ("error E07.", ["error", "e07", "e", "07"]),
        ("12,5 mg", ["12.5", "12", "5", "mg"]),
        ("125", ["125"]),
        ("2024-05-01", ["2024-05-01", "2024", "05", "01"]),
        ("well-known", ["well", "known"]),
        ("Tables.See table 9", ["tabl", "see", "tabl", "9"]),
        ("infor\u00admation", ["inform"]),
        ("ﬁne", ["fine"]),
        ("cafe\u0301", ["café"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("病院の規則", ["病院", "院の", "の規", "規則"]),
        ("水", ["水"]),
        (" -- ... §", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_a_code_is_met_in_every_spelling() -> None:
    passage = passage_vector("Replace fuse KS-4471 at once")
    for spelling in ("KS-4471", "ks4471", "KS 4471", "KS/4471", "(KS_4471)"):
        assert set(query_vector(spelling).indices) & set(passage.indices) >= {
            token_index("ks"),
            token_index("4471"),
        }
    assert not set(query_vector("KS-4472").indices) & set(passage.indices) - {token_index("ks")}


def test_each_language_has_its_own_stems() -> None:
    assert tokens("Krankenhäuser", "german") == tokens("Krankenhaus", "german")
    assert tokens("Krankenhäuser", "english") != tokens("Krankenhaus", "english")
    assert tokens("lamps", None) == ["lamps"]
    with pytest.raises(UnknownLanguage, match="german"):
        tokens("lamp", "klingon")


def test_repeated_words_saturate() -> None:
    once, twice, often = (weight(passage_vector("lamp " * n + "x " * (60 - n)), "lamp") for n in (1, 2, 60))
    assert 0 < once < twice < often < K1 + 1
    assert twice < 2 * once


def test_a_word_weighs_less_in_a_longer_passage() -> None:
    assert weight(passage_vector("lamp"), "lamp") > weight(passage_vector("lamp " + "chair " * 300), "lamp")
    assert weight(passage_vector("lamp " * 4, average_length=4), "lamp") == pytest.approx(
        4 * (K1 + 1) / (4 + K1)
    )


def test_each_word_of_a_question_counts_once() -> None:
    assert query_vector("lamp lamp lamps") == SparseVector((token_index("lamp"),), (1.0,))


def test_no_words_is_an_empty_vector() -> None:
    assert passage_vector("") == query_vector("...") == SparseVector((), ())


@given(st.text())
def test_vectors_are_what_the_index_accepts(text: str) -> None:
    for vector in (passage_vector(text), query_vector(text)):
        assert list(vector.indices) == sorted(set(vector.indices))
        assert len(vector.indices) == len(vector.values)
        assert all(0 <= index < 2**32 for index in vector.indices)
        assert all(0 < value < K1 + 1 for value in vector.values)


@given(st.text())
def test_a_text_finds_itself(text: str) -> None:
    assert passage_vector(text).indices == query_vector(text).indices


def test_threads_do_not_disturb_each_other() -> None:
    words = [f"running{'s' * n} lamps chairs houses" for n in range(200)]
    expected = [tokens(word) for word in words]
    wrong: list[str] = []

    def stem_all() -> None:
        wrong.extend(word for word, right in zip(words, expected, strict=True) if tokens(word) != right)

    threads = [threading.Thread(target=stem_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_question_has_its_words_in_each_language_that_is_looked_through() -> None:
    question = query_vector("Krankenhäuser", ["english", "german"])
    assert set(question.indices) & set(passage_vector("Das Krankenhaus", "german").indices)
    assert not set(query_vector("Krankenhäuser").indices) & set(passage_vector("Das Krankenhaus").indices)


def test_every_stemmer_by_code_is_one_that_there_is() -> None:
    assert set(STEMMERS.values()) <= set(LANGUAGES)
    assert stemmer_of("de") == "german" and stemmer_of("") == USUAL and stemmer_of("ja") is None
