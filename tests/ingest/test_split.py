"""Passages: they tile the text, keep to structure, and never go over the limit."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.ingest.document import ReadDocument
from workers.ingest.errors import EmptyFile
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.text import clean
from workers.ingest.split import MAX_PATH, split

KINDS = st.sampled_from(["heading", "paragraph", "item", "row", "code", "running"])
TEXTS = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="ab .!?\n", max_size=400),
    st.lists(st.sampled_from(["Sum", "of", "it.", "No.", "5", "x" * 40, "。"]), max_size=120).map(" ".join),
)
BLOCKS = st.lists(st.tuples(KINDS, TEXTS, st.integers(0, 7), st.booleans()), max_size=25)


def count(texts: list[str]) -> list[int]:
    """Like a word-piece tokenizer: a token for each four letters of a word."""
    return [sum(-(-len(word) // 4) for word in text.split()) for text in texts]


def built(blocks: list[tuple[str, str, int, bool]], width: float | None = None) -> ReadDocument | None:
    builder = Builder("text/plain")
    for kind, text, level, new_page in blocks:
        if new_page:
            builder.page(width=width)
        builder.block(kind, text, level)  # type: ignore[arg-type]  # drawn from the kinds there are
    try:
        return builder.finish("title")
    except EmptyFile:
        return None


def document(*blocks: tuple[str, str]) -> ReadDocument:
    made = built([(kind, text, 1 if kind == "heading" else 0, False) for kind, text in blocks])
    assert made
    return made


@given(BLOCKS)
def test_a_builders_ranges_tile_its_text(blocks: list[tuple[str, str, int, bool]]) -> None:
    made = built(blocks)
    if made is None:
        return
    assert clean(made.text) == made.text
    position = 0
    for page in made.pages:
        assert position <= page.start <= page.end
        for block in page.blocks:
            assert page.start <= block.start < block.end <= page.end
            assert made.text[position : block.start].strip() == ""
            assert made.text[block.start : block.end].strip()
            position = block.end
    assert position == len(made.text)


@settings(max_examples=80, deadline=None)
@given(BLOCKS, st.integers(1, 30), st.integers(0, 30), st.sampled_from([None, 595.0]))
def test_passages_tile_the_text_within_the_limit(
    blocks: list[tuple[str, str, int, bool]], target: int, more: int, width: float | None
) -> None:
    made = built(blocks, width)
    if made is None:
        return
    limit = target + more
    position = 0
    for ordinal, piece in enumerate(split(made, count, target, limit)):
        assert piece.ordinal == ordinal
        assert made.text[piece.start : piece.end] == piece.text
        assert piece.text == piece.text.rstrip() != ""
        assert left_out(made, position, piece.start) == ""
        assert piece.tokens == count([piece.text])[0] <= limit
        assert len(piece.heading) <= MAX_PATH
        assert 1 <= piece.page <= piece.page_end <= len(made.pages)
        position = piece.end
    assert left_out(made, position, len(made.text)) == ""


def left_out(made: ReadDocument, start: int, end: int) -> str:
    """What lies between, but for running lines."""
    running = [b for page in made.pages for b in page.blocks if b.kind == "running"]
    kept = set(range(start, end)) - {place for b in running for place in range(b.start, b.end)}
    return "".join(made.text[place] for place in sorted(kept)).strip()


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(10, 30))
def test_a_word_is_cut_only_when_it_alone_is_too_long(text: str, limit: int) -> None:
    made = built([("paragraph", text, 0, False)])
    if made is None:
        return
    whole = set(made.text.split())
    for piece in split(made, count, limit, limit):
        for word in (piece.text.split()[0], piece.text.split()[-1]):
            assert word in whole or any(word in long and count([long])[0] > limit for long in whole)


def test_headings_begin_passages_and_give_their_path() -> None:
    made = built(
        [
            ("heading", "Travel", 1, False),
            ("heading", "Trains", 2, False),
            ("paragraph", "Second class.", 0, False),
            ("heading", "Planes", 2, False),
            ("paragraph", "Never.", 0, False),
            ("heading", "Food", 1, False),
            ("paragraph", "Soup.", 0, False),
        ]
    )
    assert made
    assert [(piece.heading, piece.text) for piece in split(made, count, 50, 50)] == [
        ("Travel › Trains", "Travel\n\nTrains\n\nSecond class."),
        ("Travel › Planes", "Planes\n\nNever."),
        ("Food", "Food\n\nSoup."),
    ]


def test_paragraphs_that_fit_stay_whole() -> None:
    made = document(("paragraph", "one two three"), ("paragraph", "four five six"), ("paragraph", "seven"))
    texts = [piece.text for piece in split(made, count, 6, 6)]
    assert texts == ["one two three", "four five six\n\nseven"]


def test_long_paragraphs_are_cut_at_sentences_then_words() -> None:
    made = document(("paragraph", "A bee hums. Mr. Fox runs on and on. " + "Far " * 12))
    assert [piece.text for piece in split(made, count, 9, 9)] == [
        "A bee hums.",
        "Mr. Fox runs on and on. Far Far Far",
        "Far Far Far Far Far Far Far Far Far",
    ]


def test_later_rows_of_a_table_know_its_columns() -> None:
    made = document(("row", "Name | City"), *(("row", f"Ann{n} | Bonn") for n in range(6)))
    pieces = split(made, count, 10, 10)
    assert pieces[0].heading == ""
    assert {piece.heading for piece in pieces[1:]} == {"Name | City"}


def test_slides_are_not_mixed_but_pages_of_a_pdf_are() -> None:
    blocks = [("paragraph", "First.", 0, True), ("paragraph", "Second.", 0, True)]
    slides, pages = built(blocks), built(blocks, 595.0)
    assert slides and pages
    assert [(piece.page, piece.page_end) for piece in split(slides, count, 50, 50)] == [(1, 1), (2, 2)]
    assert [(piece.page, piece.page_end) for piece in split(pages, count, 50, 50)] == [(1, 2)]


def test_tokens_that_do_not_add_up_still_keep_the_limit() -> None:
    def jealous(texts: list[str]) -> list[int]:
        return [len(text.split()) ** 2 for text in texts]

    made = document(*(("paragraph", f"word{n}") for n in range(20)))
    assert all(piece.tokens <= 10 for piece in split(made, jealous, 10, 10))


def test_marks_around_a_text_are_counted_once_a_passage() -> None:
    """As an embedder counts: with the marks at both ends of each word, passages were a third as long."""

    def marked(texts: list[str]) -> list[int]:
        return [tokens + 2 for tokens in count(texts)]

    made = document(("paragraph", "far " * 100))
    assert [piece.tokens for piece in split(made, marked, 42, 52)] == [42, 42, 22]


def test_counting_is_asked_for_in_batches() -> None:
    calls = 0

    def counted(texts: list[str]) -> list[int]:
        nonlocal calls
        calls += 1
        return count(texts)

    made = document(*(("paragraph", f"Sentence {n} is here. " * 40) for n in range(300)))
    assert len(split(made, counted, 200, 220)) > 300
    assert calls < 12


def test_a_target_over_the_limit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="target"):
        split(document(("paragraph", "x")), count, 10, 9)
