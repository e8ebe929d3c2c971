"""What happens to questions and answers, and the event that each leaves in the trail."""

from __future__ import annotations

import threading
from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest
import redis
from django.db import connection
from django.utils import timezone

from muniment.accounts.models import Person
from muniment.audit.models import AuditEvent, AuditPrivate
from muniment.audit.queries import body_of
from muniment.conversations import queries, services, shown
from muniment.conversations.errors import EmptyQuestion, NothingToSearch, QuestionTooLong, StillAnswering
from muniment.conversations.models import (
    ENDED_TURNS,
    TURN_MOVES,
    Conversation,
    Feedback,
    Source,
    Turn,
    TurnState,
)
from muniment.documents.models import Document, Passage
from muniment.jobs.models import Job, Kind, State
from muniment.jobs.streams import turn_key
from muniment.pages.errors import Conflict, Invalid, NotFound
from muniment.scope import Label, Scope
from muniment.tenancy.models import Library
from tests.conversations.conftest import Worker
from tests.factories import (
    make_document,
    make_library,
    make_person,
    make_tenant,
    publish_version,
    scope_for,
)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]


def last_event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("occurred_at")


def test_a_question_has_a_turn_a_job_and_an_event(scope: Scope, turn: Turn) -> None:
    assert turn.state == TurnState.ASKED
    assert turn.conversation.title == "When must an incident be reported?"
    assert Job.objects.get(subject=turn.id).state == State.READY
    event = last_event("question.asked")
    assert event.object_ref == str(turn.id)
    assert turn.question not in bytes(event.body).decode()
    assert AuditPrivate.objects.get(event_id=event.event_id, field="question").value == turn.question


@pytest.mark.parametrize("question", ["", "  \n\t ", "\u202e\x00\u200b"])
def test_an_empty_question_is_refused(scope: Scope, question: str) -> None:
    with pytest.raises(EmptyQuestion):
        services.ask(scope, question)
    assert not Turn.objects.exists()


def test_a_question_of_a_hundred_kilobytes_is_refused(scope: Scope) -> None:
    with pytest.raises(QuestionTooLong) as error:
        services.ask(scope, "why " * 25_000)
    assert "8000" in str(error.value.detail)
    assert not Job.objects.exists()


def test_a_question_keeps_its_words_and_loses_what_nobody_sees(scope: Scope) -> None:
    turn = services.ask(scope, "How\u00a0much is 10\u202fkg?\r\nAnd\x07 \u202e20?")
    assert turn.question == "How much is 10 kg?\nAnd 20?"


def test_joiners_that_words_need_are_kept(scope: Scope) -> None:
    assert services.ask(scope, "می\u200cخواهم").question == "می\u200cخواهم"


def test_a_long_question_gets_a_short_title(scope: Scope) -> None:
    title = services.ask(scope, "What is the " + "very " * 60 + "long rule?").conversation.title
    assert len(title) <= 100
    assert title.endswith("…")


def test_a_second_question_waits_for_the_first_answer(scope: Scope, turn: Turn) -> None:
    with pytest.raises(StillAnswering):
        services.ask(scope, "And at night?", turn.conversation_id)
    assert turn.conversation.turns.count() == 1


def test_a_second_question_follows_an_answer(scope: Scope, answered: Turn) -> None:
    second = services.ask(scope, "And at night?", answered.conversation_id)
    assert (second.conversation_id, second.ordinal) == (answered.conversation_id, 2)


def test_a_question_of_another_persons_conversation_is_not_there(turn: Turn, stranger: Person) -> None:
    with pytest.raises(NotFound):
        services.ask(scope_for(stranger), "And at night?", turn.conversation_id)


def test_a_question_to_a_closed_library_is_not_there(scope: Scope, mara: Person) -> None:
    closed = make_library(mara.tenant, "Board")
    with pytest.raises(NotFound):
        services.ask(scope, "What is planned?", libraries=[closed.id])


def test_a_question_to_a_document_above_the_clearance_is_not_there(scope: Scope, document: Document) -> None:
    secret = make_document(document.library, "plans.txt", label=Label.SECRET)
    with pytest.raises(NotFound):
        services.ask(scope, "What is planned?", documents=[secret.id])
    assert services.ask(scope, "What is planned?", documents=[document.id])


def test_a_library_without_documents_is_not_asked(scope: Scope, mara: Person) -> None:
    empty = make_library(mara.tenant, "Empty", readers=[mara])
    with pytest.raises(NothingToSearch):
        services.ask(scope_for(mara), "Anything?", libraries=[empty.id])
    assert services.ask(scope_for(mara), "Anything?")


def test_the_system_itself_asks_nothing(mara: Person) -> None:
    with pytest.raises(NotFound):
        services.ask(Scope(tenant=mara.tenant_id), "Anything?")


def test_a_turn_goes_only_where_the_table_lets_it(turn: Turn) -> None:
    for before, after in product(TurnState, TurnState):
        Turn.objects.filter(pk=turn.pk).update(state=before)
        if after in TURN_MOVES[before]:
            services.move_turn(turn, after)
            assert turn.state == after
        else:
            with pytest.raises(Conflict):
                services.move_turn(turn, after)
            assert Turn.objects.get(pk=turn.pk).state == before


def test_every_state_is_in_the_table_and_an_end_is_an_end() -> None:
    assert set(TURN_MOVES) == set(TurnState)
    assert all(not TURN_MOVES[state] for state in ENDED_TURNS)
    reachable, todo = set(), [TurnState.ASKED]
    while todo:
        state = todo.pop()
        if state not in reachable:
            reachable.add(state)
            todo += TURN_MOVES[state]
    assert reachable == set(TurnState)


def test_an_answer_is_kept_between_its_intent_and_its_outcome(worker: Worker) -> None:
    worker.search()
    worker.begin(given=(1,), left_out=1)
    intent = last_event("answer.started")
    assert intent.stage == "intent"
    worker.end(answer="Within 24 hours [1].")
    turn = Turn.objects.get(pk=worker.turn.pk)
    assert (turn.state, turn.answer, turn.model, turn.left_out) == (
        TurnState.ANSWERED,
        "Within 24 hours [1].",
        "small-model",
        1,
    )
    assert turn.intent == intent.event_id
    outcome = last_event("answer.finished")
    assert body_of(outcome)["details"]["state"] == "answered"
    assert "24 hours" not in bytes(outcome.body).decode()
    assert list(Source.objects.filter(turn=turn).values_list("n", "given", "cited")) == [
        (1, True, True),
        (2, False, False),
    ]


def test_a_second_try_starts_without_what_the_first_one_left(worker: Worker) -> None:
    worker.search()
    worker.begin()
    worker.search()
    turn = Turn.objects.get(pk=worker.turn.pk)
    assert (turn.state, turn.answer, turn.left_out) == (TurnState.SEARCHING, "", 0)
    assert not turn.sources.filter(given=True).exists()
    assert turn.sources.count() == 2


def test_sources_of_a_turn_that_was_deleted_meanwhile_are_not_kept(scope: Scope, worker: Worker) -> None:
    services.begin_search(worker.turn)
    services.delete(scope, worker.turn.conversation_id)
    with pytest.raises(Conflict):
        services.store_sources(worker.turn, "", [], {})


def test_an_answer_ends_once(worker: Worker) -> None:
    worker.answer()
    with pytest.raises(Conflict):
        services.end_answer(worker.scope, worker.turn, TurnState.FAILED, "other")
    assert Turn.objects.get(pk=worker.turn.pk).answer == "Within 24 hours [1]."


def test_stop_ends_a_waiting_turn_and_its_job(scope: Scope, turn: Turn, broker: redis.Redis) -> None:
    services.stop(scope, turn.id)
    turn.refresh_from_db()
    assert turn.state == TurnState.STOPPED
    assert Job.objects.get(subject=turn.id).state == State.CANCELLED
    assert last_event("answer.stopped").object_ref == str(turn.id)
    assert broker.xlen(turn_key(turn.tenant, turn.id)) == 1


def test_stop_leaves_the_end_to_who_is_writing(scope: Scope, worker: Worker, broker: redis.Redis) -> None:
    worker.search()
    worker.begin()
    services.stop(scope, worker.turn.id)
    assert broker.exists(services.stop_key(worker.turn))
    assert Turn.objects.get(pk=worker.turn.pk).state == TurnState.ANSWERING
    worker.end(TurnState.STOPPED, "Within")
    assert Turn.objects.get(pk=worker.turn.pk).answer == "Within"


def test_stop_ends_a_turn_whose_worker_died(scope: Scope, worker: Worker) -> None:
    worker.search()
    worker.begin()
    Job.objects.filter(subject=worker.turn.id).update(lease_until=timezone.now() - timedelta(seconds=1))
    services.stop(scope, worker.turn.id)
    assert Turn.objects.get(pk=worker.turn.pk).state == TurnState.STOPPED
    assert last_event("answer.finished").object_ref == str(worker.turn.id)


def test_stop_works_without_a_broker(scope: Scope, worker: Worker, no_broker: None) -> None:
    worker.search()
    worker.begin()
    services.stop(scope, worker.turn.id)
    assert Turn.objects.get(pk=worker.turn.pk).state == TurnState.STOPPED
    assert Job.objects.get(subject=worker.turn.id).state == State.CANCELLED


def test_stop_of_an_ended_turn_changes_nothing(scope: Scope, answered: Turn) -> None:
    services.stop(scope, answered.id)
    assert Turn.objects.get(pk=answered.pk).state == TurnState.ANSWERED
    assert not AuditEvent.objects.filter(action="answer.stopped").exists()


def test_the_last_rating_counts(scope: Scope, answered: Turn) -> None:
    services.rate(scope, answered.id, 1)
    services.rate(scope, answered.id, -1, "The deadline is wrong.")
    feedback = Feedback.objects.get(turn=answered)
    assert (feedback.value, feedback.reason) == (-1, "The deadline is wrong.")
    event = last_event("answer.rated")
    assert body_of(event)["details"]["value"] == -1
    assert "deadline" not in bytes(event.body).decode()


def test_only_what_was_not_right_is_shared_and_only_when_the_person_says_so(
    scope: Scope, answered: Turn
) -> None:
    assert services.rate(scope, answered.id, -1, "Wrong day.").shared is False
    assert services.rate(scope, answered.id, -1, "Wrong day.", shared=True).shared is True
    assert body_of(last_event("answer.rated"))["details"]["shared"] is True
    kept = services.keep_rating_private(scope, answered.id)
    assert (kept.shared, kept.reason) == (False, "Wrong day.")
    assert body_of(last_event("answer.rated"))["details"]["shared"] is False
    assert services.rate(scope, answered.id, 1, "Good.", shared=True).shared is False


def test_an_answer_that_was_made_of_nothing_is_nobody_elses(scope: Scope, answered: Turn) -> None:
    Source.objects.update(given=False)
    assert services.rate(scope, answered.id, -1, "Empty.", shared=True).shared is False


def test_a_rating_is_up_or_down_and_of_an_ended_answer(scope: Scope, answered: Turn) -> None:
    with pytest.raises(Invalid):
        services.rate(scope, answered.id, 5)
    with pytest.raises(Conflict):
        services.rate(scope, services.ask(scope, "Another?").id, 1)


def test_a_conversation_is_renamed(scope: Scope, turn: Turn) -> None:
    services.rename(scope, turn.conversation_id, "  Incident   deadlines ")
    assert Conversation.objects.get(pk=turn.conversation_id).title == "Incident deadlines"
    event = last_event("conversation.renamed")
    assert AuditPrivate.objects.get(event_id=event.event_id, field="title").value == "Incident deadlines"


@pytest.mark.parametrize("title", ["", "   ", "x" * 121])
def test_a_title_has_a_length(scope: Scope, turn: Turn, title: str) -> None:
    with pytest.raises(Invalid):
        services.rename(scope, turn.conversation_id, title)


def test_a_deleted_conversation_is_gone_with_its_stream_and_its_job(
    scope: Scope, turn: Turn, broker: redis.Redis
) -> None:
    services.delete(scope, turn.conversation_id)
    assert not Turn.objects.exists()
    assert not Conversation.objects.exists()
    assert Job.objects.get(subject=turn.id).state == State.CANCELLED
    assert not broker.exists(turn_key(turn.tenant, turn.id))
    assert body_of(last_event("conversation.deleted"))["details"]["turns"] == 1


@pytest.mark.parametrize("do", ["stop", "rate", "keep private", "rename", "delete"])
def test_other_peoples_conversations_are_not_there(answered: Turn, stranger: Person, do: str) -> None:
    other = scope_for(stranger)
    with pytest.raises(NotFound):
        match do:
            case "stop":
                services.stop(other, answered.id)
            case "keep private":
                services.keep_rating_private(other, answered.id)
            case "rate":
                services.rate(other, answered.id, 1)
            case "rename":
                services.rename(other, answered.conversation_id, "Mine now")
            case "delete":
                services.delete(other, answered.conversation_id)
    assert Turn.objects.get(pk=answered.pk).conversation.title == "When must an incident be reported?"


def test_the_same_person_id_in_another_tenant_sees_nothing(answered: Turn, mara: Person) -> None:
    elsewhere = Scope(tenant=make_tenant().id, person=mara.id)
    assert not queries.own_conversations(elsewhere).exists()
    with pytest.raises(NotFound):
        queries.turn(elsewhere, answered.id)


def test_sources_are_shown_as_the_person_may_see_them_today(
    scope: Scope, answered: Turn, document: Document, mara: Person
) -> None:
    assert [bool(seen.passage) for seen in queries.sources_of(scope, answered)] == [True, True]
    Document.objects.filter(pk=document.pk).update(label=Label.SECRET)
    assert [seen.passage for seen in queries.sources_of(scope, answered)] == [None, None]
    Document.objects.filter(pk=document.pk).update(label=Label.PUBLIC)
    Library.objects.update(deleted_at=timezone.now())
    assert [seen.passage for seen in queries.sources_of(scope_for(mara), answered)] == [None, None]


def test_an_answer_says_that_a_document_it_cites_was_replaced_since(
    scope: Scope, answered: Turn, document: Document
) -> None:
    before = shown.turn(scope, answered)
    assert (before.outdated, [source.replaced for source in before.sources or []]) == (False, [False, False])
    publish_version(document, ["Every incident is reported within 12 hours."])
    after = shown.turn(scope, answered)
    assert (after.outdated, [source.replaced for source in after.sources or []]) == (True, [True, True])
    Source.objects.update(cited=False)
    assert not shown.turn(scope, answered).outdated


def test_an_answer_says_that_a_document_it_cites_was_withdrawn_since(
    scope: Scope, answered: Turn, document: Document
) -> None:
    Document.objects.filter(pk=document.pk).update(deleted_at=timezone.now())
    assert shown.turn(scope, answered).outdated


def test_what_says_the_same_is_told_to_who_may_read_it(
    scope: Scope, answered: Turn, document: Document, mara: Person
) -> None:
    copy = make_document(document.library, "copy.txt", ["Every incident is reported."])
    Source.objects.filter(turn=answered, n=1).update(
        alike=[str(Passage.objects.get(version=copy.current).id), str(uuid4())]
    )
    turn = shown.turn(scope, answered)
    assert [source.also for source in turn.sources or []] == [["copy.txt"], []]
    Document.objects.filter(pk=copy.pk).update(label=Label.SECRET)
    assert [source.also for source in shown.turn(scope, answered).sources or []] == [[], []]


def test_sources_of_many_turns_cost_the_same_number_of_queries(
    scope: Scope, answered: Turn, django_assert_num_queries: object
) -> None:
    for _number in range(3):
        Worker(scope, services.ask(scope, "Again?", answered.conversation_id)).answer()
    turns = queries.turns_of(scope, answered.conversation)
    with django_assert_num_queries(3):  # type: ignore[operator]  # a pytest-django fixture
        found = queries.sources_of_turns(scope, turns)
    assert [len(found[turn.id]) for turn in turns] == [2, 2, 2, 2]


def test_a_place_in_the_queue_counts_those_before(scope: Scope, mara: Person) -> None:
    other = make_person(make_tenant())
    make_document(make_library(other.tenant, readers=[other]))
    services.ask(scope_for(other), "First?")
    mine = services.ask(scope, "Second?")
    assert queries.place_in_queue(scope, mine) == 1
    Worker(scope, mine).answer()
    assert queries.place_in_queue(scope, Turn.objects.get(pk=mine.pk)) is None


@pytest.mark.django_db(transaction=True)
def test_of_two_questions_at_once_one_is_asked(scope: Scope, answered: Turn) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def ask() -> None:
        barrier.wait()
        try:
            services.ask(scope, f"And {uuid4()}?", answered.conversation_id)
            outcomes.append("asked")
        except StillAnswering:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["asked", "refused"]
    assert Job.objects.filter(kind=Kind.ANSWER, state=State.READY).count() == 1
