"""What could be asked next: headings beside what an answer cites, as questions that the person may send."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from muniment.conversations import queries, services, shown
from muniment.conversations.models import Turn, TurnState
from muniment.conversations.suggestions import suggested
from muniment.documents.models import Document, Passage
from muniment.scope import Label, Scope
from tests.conversations.conftest import Worker

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

HEADINGS = (
    "Incidents",
    "Incidents › Who is told",
    "Incidents › Near misses: ",
    "Rules › Name | Amount",
    "Far",
)


def add(document: Document, ordinal: int, heading: str) -> None:
    """A passage more under this heading."""
    assert document.current is not None
    start = 1000 * ordinal
    Passage.objects.create(
        id=uuid4(),
        tenant=document.tenant,
        version=document.current,
        ordinal=ordinal,
        start=start,
        end=start + 9,
        page=1,
        page_end=1,
        heading=heading,
        text="Some words",
        sha256="0" * 64,
    )


@pytest.fixture
def chapters(document: Document) -> Document:
    """A document of five passages under headings; answers are given the first two."""
    for ordinal, heading in enumerate(HEADINGS):
        if not Passage.objects.filter(ordinal=ordinal).update(heading=heading):
            add(document, ordinal, heading)
    return document


def answer(scope: Scope, turn: Turn, cited: tuple[int, ...] = (1,)) -> Turn:
    worker = Worker(scope, turn)
    worker.search()
    worker.begin()
    turn.sources.exclude(n__in=(1, 2)).delete()
    worker.end(cited=cited)
    return Turn.objects.get(pk=turn.pk)


def asked_next(scope: Scope, turn: Turn) -> list[str]:
    return suggested(queries.sources_of(scope, turn))


def test_headings_beside_what_was_cited_become_questions(
    page: Client, scope: Scope, turn: Turn, chapters: Document
) -> None:
    row = answer(scope, turn)
    assert asked_next(scope, row) == ["What does incidents say about Near misses?"]
    html = page.get(reverse("conversation", args=[row.conversation_id])).content.decode()
    assert 'data-question="What does incidents say about Near misses?"' in html
    assert "/?question=What%20does%20incidents%20say%20about%20Near%20misses%3F" in html


def test_what_was_read_what_is_far_and_rows_of_names_are_not_suggested(
    scope: Scope, turn: Turn, chapters: Document
) -> None:
    row = answer(scope, turn, cited=(1, 2))
    questions = asked_next(scope, row)
    assert questions == ["What does incidents say about Near misses?", "What does incidents say about Rules?"]
    for words in ("Who is told", "Amount", "Far"):
        assert words not in " ".join(questions)


def test_there_are_three_at_most_the_nearest_first(scope: Scope, turn: Turn, chapters: Document) -> None:
    row = answer(scope, turn)
    Passage.objects.filter(ordinal=0).update(ordinal=20)
    for ordinal in (18, 19, 21, 22):
        add(chapters, ordinal, f"Chapter {ordinal}")
    assert [question[-3:] for question in asked_next(scope, row)] == ["21?", "19?", "22?"]


def test_nothing_of_a_document_that_is_no_longer_open(scope: Scope, turn: Turn, chapters: Document) -> None:
    row = answer(scope, turn)
    Document.objects.update(label=Label.SECRET)
    assert asked_next(scope, row) == []


def test_only_the_last_answer_suggests_and_a_refusal_does_not(
    scope: Scope, turn: Turn, chapters: Document
) -> None:
    first = answer(scope, turn)
    second = answer(scope, services.ask(scope, "And at night?", first.conversation_id))
    rows = queries.turns_of(scope, second.conversation)
    assert [bool(one.suggestions) for one in shown.turns(scope, rows)] == [False, True]
    Turn.objects.filter(pk=first.pk).update(question="What does incidents say about Near misses?")
    assert shown.turns(scope, queries.turns_of(scope, second.conversation))[-1].suggestions == []
    Turn.objects.update(state=TurnState.NOT_IN_DOCUMENTS)
    assert shown.turn(scope, queries.turn(scope, second.id)).suggestions == []


def test_suggesting_costs_one_query(
    scope: Scope, turn: Turn, chapters: Document, django_assert_num_queries: Any
) -> None:
    seen = queries.sources_of(scope, answer(scope, turn, cited=(1, 2)))
    with django_assert_num_queries(1):
        suggested(seen)


def test_a_heading_is_words(page: Client, scope: Scope, turn: Turn, chapters: Document) -> None:
    row = answer(scope, turn)
    Passage.objects.filter(ordinal=2).update(heading='"><img src=x onerror=planted()>')
    html = page.get(reverse("conversation", args=[row.conversation_id])).content.decode()
    assert "<img src=x" not in html and "&lt;img src=x onerror=planted()&gt;" in html
