"""What people found not right and let curators see: who sees it, what of it, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.urls import reverse

from muniment.accounts.models import Person
from muniment.conversations.models import Conversation, Feedback, Source, Turn, TurnState
from muniment.conversations.services import keep_rating_private, rate
from muniment.conversations.statements import Statement, Verdict, stored
from muniment.documents.models import Document
from muniment.evaluation import queries, services
from muniment.evaluation.models import Case
from muniment.pages.errors import Conflict, Forbidden, NotFound
from muniment.scope import Label, Role
from muniment.tenancy.models import Library
from tests.factories import grant, make_document, make_library, make_person, make_tenant, scope_for
from tests.house import House, events, signed_in

ANSWER = "Doors close at nine."


def answered(
    person: Person, *documents: Document, given: bool = True, state: TurnState = TurnState.ANSWERED
) -> Turn:
    """An answer from the first passage of each document, that its asker found not right."""
    conversation = Conversation.objects.create(tenant=person.tenant_id, person=person.id, title="Doors")
    turn = Turn.objects.create(
        tenant=person.tenant_id,
        conversation=conversation,
        ordinal=1,
        question="When do doors close?",
        searched="the question before this one",
        state=state,
        answer=ANSWER,
        statements=stored([Statement(0, len(ANSWER), Verdict.WEAK, (1,), 0.4, "number")]),
    )
    for n, document in enumerate(documents, 1):
        passage = document.current.own_passages.first()  # type: ignore[union-attr]
        assert passage is not None
        Source.objects.create(
            tenant=turn.tenant,
            turn=turn,
            n=n,
            passage=passage.id,
            document=document.id,
            version=passage.version_id,
            page=1,
            score=1.0,
            best_start=0,
            best_end=len(passage.text),
            given=given,
        )
    return turn


def shared(person: Person, *documents: Document, **how: Any) -> Turn:
    turn = answered(person, *documents, **how)
    rate(scope_for(person), turn.id, -1, "They close at <b>ten</b>.", shared=True)
    return turn


def feedback_page(client: Client) -> str:
    response = client.get(reverse("quality-feedback"))
    assert response.status_code == 200
    return str(response.content.decode()).partition("<main")[2]


def test_a_curator_sees_question_answer_reason_and_passages_and_not_who_asked(house: House) -> None:
    Person.objects.filter(pk=house.reader.pk).update(name="Radegund Asker", username="radegund")
    shared(house.reader, make_document(house.library))
    html = feedback_page(signed_in(house.curator))
    for told in ("When do doors close?", "nine", "They close at &lt;b&gt;ten&lt;/b&gt;.", "rules.txt"):
        assert told in html
    assert "Doors close at ten." in html and "a number is not in the passages" in html
    assert "radegund" not in html.lower()
    assert "the question before this one" not in html
    assert "1 answer not right" in signed_in(house.curator).get(reverse("quality")).content.decode()


def test_a_passage_opens_in_its_document(house: House) -> None:
    document = make_document(house.library)
    shared(house.reader, document)
    client = signed_in(house.curator)
    url = f"{reverse('page', args=[document.current_id, 1])}?passage="
    assert url in feedback_page(client)
    assert client.get(url).status_code == 200


def test_what_is_kept_to_oneself_and_what_was_helpful_is_not_there(house: House) -> None:
    document, scope = make_document(house.library), scope_for(house.reader)
    rate(scope, answered(house.reader, document).id, -1, "Mine alone.")
    rate(scope, answered(house.reader, document).id, 1, "Fine.", shared=True)
    keep_rating_private(scope, shared(house.reader, document).id)
    html = feedback_page(signed_in(house.curator))
    assert "When do doors close?" not in html and "Nothing was found wrong" in html


def test_an_answer_that_was_made_of_anything_else_too_is_not_there(house: House) -> None:
    ours = make_document(house.library)
    read_only = make_library(house.tenant, "Read only", readers=[house.curator, house.reader])
    closed = make_library(house.tenant, "Closed", readers=[house.reader])
    secret = make_document(house.library, "secret.txt", label=Label.SECRET)
    for other in (make_document(read_only), make_document(closed), secret):
        shared(house.reader, ours, other)
    assert not queries.shared_feedback(scope_for(house.curator)).exists()
    shared(house.reader, ours)
    assert queries.shared_feedback(scope_for(house.curator)).count() == 1


def test_what_stops_being_open_stops_being_there(house: House) -> None:
    document = make_document(house.library)
    shared(house.reader, document)
    curating = queries.shared_feedback(scope_for(house.curator))
    assert curating.count() == 1
    Document.objects.update(label=Label.SECRET)
    assert not curating.exists()
    Document.objects.update(label=Label.INTERNAL, library=make_library(house.tenant, "Elsewhere"))
    assert not curating.exists()
    Document.objects.update(library=house.library)
    assert curating.count() == 1
    Library.objects.filter(pk=house.library.pk).update(deleted_at="2026-01-01T00:00:00Z")
    assert not curating.exists()


def test_a_refusal_is_seen_with_what_was_found(house: House) -> None:
    """Where the model was given nothing, what was found decides who may see the question."""
    closed = make_library(house.tenant, "Closed", readers=[house.reader])
    ours, theirs = make_document(house.library), make_document(closed)
    for documents in ((ours,), (ours, theirs)):
        shared(house.reader, *documents, given=False, state=TurnState.NOT_IN_DOCUMENTS)
    html = feedback_page(signed_in(house.curator))
    assert html.count('<h2 id="wrong-') == 1
    assert "not in your documents" in html and "Doors close at ten." in html
    assert "nine" not in html, "what was not shown to the person is not shown to anybody"


def test_others_see_nothing_of_it(house: House) -> None:
    turn = shared(house.reader, make_document(house.library))
    for person in (house.reader, house.clerk):
        with pytest.raises(Forbidden):
            queries.shared_feedback(scope_for(person))
        assert signed_in(person).get(reverse("quality-feedback")).status_code == 403
    elsewhere = make_tenant()
    stranger = make_person(elsewhere, roles=[Role.CURATOR])
    make_library(elsewhere, contributors=[stranger])
    neighbour = make_person(house.tenant, roles=[Role.CURATOR])
    make_library(house.tenant, "Neighbours", contributors=[neighbour])
    grant(house.library, neighbour)
    for person in (stranger, neighbour):
        assert not queries.shared_feedback(scope_for(person)).exists()
        with pytest.raises(NotFound):
            services.keep_shared_turn(scope_for(person), turn.id)
        assert signed_in(person).post(reverse("keep-feedback", args=[turn.id])).status_code == 404


def test_the_answer_itself_stays_its_askers(house: House) -> None:
    turn = shared(house.reader, make_document(house.library))
    client = signed_in(house.curator)
    for name, ids in (
        ("conversation", [turn.conversation_id]),
        ("turn", [turn.id]),
        ("turn-source", [turn.id, 1]),
    ):
        assert client.get(reverse(name, args=ids)).status_code == 404


def test_looking_is_in_the_trail_before_it_is_shown(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from muniment.audit.errors import AuditUnavailable

    turn = shared(house.reader, make_document(house.library))
    client = signed_in(house.curator)
    feedback_page(client)
    (body,) = events("feedback.viewed")
    assert body["details"] == {"turns": [str(turn.id)]}

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AuditUnavailable

    monkeypatch.setattr("muniment.evaluation.services.record", refuse)
    response = client.get(reverse("quality-feedback"))
    assert response.status_code == 503 and "doors" not in response.content.decode()


def test_its_question_is_kept_with_a_click_once(house: House) -> None:
    turn = shared(house.reader, make_document(house.library))
    client = signed_in(house.curator)
    url = reverse("keep-feedback", args=[turn.id])
    assert url in feedback_page(client)
    assert "which document answers it" in client.post(url, follow=True).content.decode()
    case = Case.objects.get()
    assert (case.question, case.turn, case.library_id) == (turn.question, turn.id, house.library.id)
    assert case.added_by == house.curator.id
    assert url not in feedback_page(client)
    assert "among the kept ones already" in client.post(url, follow=True).content.decode()
    with pytest.raises(Conflict):
        services.keep_shared_turn(scope_for(house.curator), turn.id)


def test_it_is_kept_in_each_library_that_it_was_made_of(house: House) -> None:
    second = make_library(house.tenant, "Second", contributors=[house.curator, house.reader])
    turn = shared(house.reader, make_document(house.library), make_document(second))
    services.add_case(scope_for(house.curator), second.id, turn.question, turn=turn.id)
    (case,) = services.keep_shared_turn(scope_for(house.curator), turn.id)
    assert case.library_id == house.library.id


def test_the_newest_comes_first_and_many_cost_no_more_queries(
    house: House, django_assert_max_num_queries: Any
) -> None:
    document, client = make_document(house.library), signed_in(house.curator)

    def cost() -> int:
        with django_assert_max_num_queries(60) as asked:
            feedback_page(client)
        return len(asked)

    shared(house.reader, document)
    feedback_page(client)
    one = cost()
    for number in range(4):
        turn = shared(house.reader, document)
        Turn.objects.filter(pk=turn.pk).update(question=f"Question {number}?")
    assert cost() == one
    html = feedback_page(client)
    places = [html.index(f"Question {number}?") for number in (3, 2, 1, 0)]
    assert places == sorted(places)


@pytest.mark.django_db(transaction=True)
def test_what_was_rated_before_stays_private() -> None:
    before = [("conversations", "0006_source_document")]
    after = [("conversations", "0007_shared_feedback")]
    executor = MigrationExecutor(connection)
    executor.migrate(before)
    try:
        apps = executor.loader.project_state(before).apps
        person = make_person(make_tenant())
        conversation = apps.get_model("conversations", "Conversation").objects.create(
            tenant=person.tenant_id, person=person.id, title="Old"
        )
        turn = apps.get_model("conversations", "Turn").objects.create(
            tenant=person.tenant_id, conversation=conversation, ordinal=1, question="Old?"
        )
        apps.get_model("conversations", "Feedback").objects.create(
            tenant=person.tenant_id, turn=turn, value=-1, reason="Old."
        )
    finally:
        MigrationExecutor(connection).migrate(after)
    assert Feedback.objects.get(turn=turn.pk).shared is False
