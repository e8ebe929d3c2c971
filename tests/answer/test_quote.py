"""With quotations only, whatever the model writes: every word shown stands in a passage."""

from __future__ import annotations

import re
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from muniment.conversations.statements import Verdict, cited
from muniment.documents.models import Document, Passage, Version
from workers.answer.pack import Excerpt
from workers.answer.quote import MOST_QUOTED, chosen, grammar, messages, quotables, quotation
from workers.answer.retrieve import Candidate

LEASE = "The mill is old. The lease ends in May 2031. Nobody may sublet it.\nRent | 900"
NIGHTS = "At night the warden rules. Visitors leave at nine."


def excerpt(n: int, text: str, read: str = "") -> Excerpt:
    document = Document(id=uuid4(), name=f"{n}.txt", title=f"Rules {n}")
    passage = Passage(id=uuid4(), version=Version(id=uuid4(), document=document), text=text, heading="One")
    return Excerpt(n, Candidate(passage, 1.0, 0, len(text), 0.8, 0.5), read or text, not read)


READ = [excerpt(1, LEASE), excerpt(4, NIGHTS, "Visitors leave at nine.")]


def test_sentences_are_numbered_through_all_passages() -> None:
    prompt = messages("When does the lease end?", READ)[1]["content"]
    assert "(Rules 1)\n1. The mill is old.\n2. The lease ends in May 2031." in prompt
    number = re.search(r"\(Rules 4\)\n(\d+)\. Visitors leave at nine\.", prompt)
    assert number and int(number[1]) == len(quotables(READ))
    assert "At night" not in prompt
    assert prompt.endswith("Question: When does the lease end?\nNumbers of the sentences that answer it:")


def test_an_answer_is_the_chosen_sentences_with_their_sources() -> None:
    choice = quotables(READ)
    last = str(len(choice))
    answer = quotation(chosen(f"2, {last}", choice))
    assert answer.text == "The lease ends in May 2031.\n\nVisitors leave at nine."
    assert cited(answer.statements) == [1, 4]
    assert all(one.verdict == Verdict.SUPPORTED for one in answer.statements)


def test_headings_are_not_quoted_and_a_piece_of_a_sentence_is_no_sentence() -> None:
    headed = excerpt(1, "One\n\nVisitors leave at nine.")
    assert [one.text for one in quotables([headed])] == ["Visitors leave at nine."]
    assert quotables([excerpt(1, NIGHTS, "ors leave at ni")]) == []


def test_a_sentence_of_a_part_that_was_read_is_found_in_the_whole_passage() -> None:
    (only,) = quotables(READ[1:])
    assert NIGHTS[only.start : only.end] == "Visitors leave at nine."


def test_what_is_no_number_of_a_sentence_chooses_nothing() -> None:
    choice = quotables(READ)
    for reply in ("", "none", "The lease ends in June.", "0", "99", "-", "[99]"):
        assert chosen(reply, choice) == []
    assert len(chosen("1, 1, 1", choice)) == 1
    assert len(chosen("1 2 3 4 5", choice)) == MOST_QUOTED
    assert quotation([]).text == ""


@given(st.text(max_size=300), st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=4))
def test_every_sentence_shown_stands_in_its_passage_whatever_the_model_writes(
    reply: str, texts: list[str]
) -> None:
    read = [excerpt(n, text) for n, text in enumerate(texts, 1)]
    answer = quotation(chosen(reply, quotables(read)))
    for statement in answer.statements:
        (n,) = statement.sources
        assert answer.text[statement.start : statement.end] in texts[n - 1]
    assert answer.text == "\n\n".join(answer.text[one.start : one.end] for one in answer.statements)


def test_the_grammar_allows_numbers_of_sentences_and_nothing_else() -> None:
    assert grammar(2) == 'root ::= number (", " number (", " number )?)?\nnumber ::= "1" | "2"'
