"""A turn's live stream: what the browser is told, and that nothing is lost and nothing told to others."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis
from django.test import Client

from muniment.accounts import services as accounts
from muniment.accounts.models import Person
from muniment.conversations import services
from muniment.conversations.models import Turn, TurnState
from muniment.jobs.streams import turn_key
from muniment.scope import Role, Scope
from muniment.tenancy.models import Grant
from tests.conversations.conftest import Tab, Worker, client_of
from tests.factories import make_person, scope_for

pytestmark = pytest.mark.django_db(transaction=True)

Open = Callable[..., Tab]


def test_sources_then_words_then_the_answer(open_tab: Open, broker: redis.Redis, worker: Worker) -> None:
    tab = open_tab(worker.turn)
    worker.search()
    sources = tab.wait("sources")
    assert "<mark>Every incident is reported within 24 hours.</mark>" in str(sources.data["html"])
    worker.begin()
    worker.say("reading", tokens=812, seconds=12.4)
    worker.write("Within ", "24 hours ", "[1].")
    tab.wait_text("Within 24 hours [1].")
    worker.end()
    tab.wait_end()
    assert any(
        "about 10 seconds" in str(told.data.get("text")) for told in tab.told if told.event == "status"
    )
    assert tab.names()[-2:] == ["answer", "done"]
    html = str(tab.last("answer").data["html"])
    assert f'href="/turns/{worker.turn.id}/sources/1"' in html
    assert "Written by a machine (small-model)" in html
    assert tab.last("done").data == {"state": "answered"}


def test_words_arrive_while_they_are_written(open_tab: Open, broker: redis.Redis, worker: Worker) -> None:
    tab = open_tab(worker.turn)
    worker.search()
    worker.begin()
    tab.wait("sources")
    for word in ("one ", "two ", "three "):
        before = time.monotonic()
        worker.write(word)
        while not tab.text().endswith(word):
            time.sleep(0.002)
        assert time.monotonic() - before < 0.5


def test_the_line_says_what_is_being_done(open_tab: Open, broker: redis.Redis, worker: Worker) -> None:
    tab = open_tab(worker.turn)

    def line() -> object:
        return tab.last("status").data["text"]

    worker.search()
    tab.wait("sources")
    assert line() == "Looking for passages."
    worker.begin()
    worker.say("reading", tokens=812, seconds=None)
    time.sleep(2.2)  # longer than two looks at the database, which must not talk over the worker
    assert line() == "Reading the passages."
    worker.write("one ")
    tab.wait_text("one ")
    assert line() == "Writing the answer."


def test_a_lost_connection_goes_on_where_it_was(open_tab: Open, broker: redis.Redis, worker: Worker) -> None:
    tab = open_tab(worker.turn)
    worker.search()
    worker.begin()
    worker.write("one ", "two ")
    tab.wait("token")
    place = next(told.id for told in tab.told if told.event == "token")
    worker.write("three ")
    again = open_tab(worker.turn, **{"Last-Event-ID": place})
    again.wait_text("two three ")
    assert "begin" not in again.names()


def test_a_second_tab_hears_everything_from_the_start(
    open_tab: Open, broker: redis.Redis, worker: Worker
) -> None:
    worker.search()
    worker.begin()
    worker.write("one ", "two ")
    tabs = [open_tab(worker.turn) for _ in range(4)]
    worker.write("three ")
    for tab in tabs:
        tab.wait_text("one two three ")
    worker.end()
    for tab in tabs:
        tab.wait_end()
        assert tab.last("done").data == {"state": "answered"}


def test_an_ended_turn_is_told_from_the_database(open_tab: Open, broker: redis.Redis, answered: Turn) -> None:
    broker.flushall()
    tab = open_tab(answered)
    tab.wait_end()
    assert tab.names() == ["sources", "answer", "done"]
    assert "Within 24 hours" in str(tab.last("answer").data["html"])


def test_a_failed_turn_says_what_to_do(open_tab: Open, broker: redis.Redis, worker: Worker) -> None:
    tab = open_tab(worker.turn)
    worker.search()
    services.end_answer(worker.scope, worker.turn, TurnState.FAILED, "", error_code="unavailable")
    worker.say("failed", code="unavailable")
    tab.wait_end()
    assert tab.names()[-2:] == ["failed", "done"]
    html = str(tab.last("failed").data["html"])
    assert "Ask again in a minute" in html
    assert f"/turns/{worker.turn.id}/again" in html


def test_a_place_in_the_queue_is_told_while_others_are_first(
    open_tab: Open, broker: redis.Redis, mara: Person, scope: Scope
) -> None:
    first = services.ask(scope, "First?")
    second = services.ask(scope, "Second?")
    tab = open_tab(second)
    told = tab.wait("waiting")
    assert told.data == {"position": 1, "text": "1 question is before yours."}
    Worker(scope, first).answer()
    tab.wait("status")
    assert tab.last("status").data == {"text": "Looking for passages."}


def test_a_second_try_of_the_worker_begins_again(
    open_tab: Open, broker: redis.Redis, scope: Scope, worker: Worker
) -> None:
    tab = open_tab(worker.turn)
    worker.search()
    worker.begin()
    worker.write("half an ans")
    tab.wait("token")
    worker.search()
    worker.begin()
    worker.write("all of it [1].")
    tab.wait_text("half an ansall of it [1].")
    begins = [at for at, name in enumerate(tab.names()) if name == "begin"]
    assert len(begins) == 2
    after = tab.told[begins[1] :]
    assert "".join(str(told.data["text"]) for told in after if told.event == "token") == "all of it [1]."


def test_a_done_that_nobody_heard_is_found_in_the_database(
    open_tab: Open, broker: redis.Redis, worker: Worker
) -> None:
    tab = open_tab(worker.turn)
    worker.search()
    worker.begin()
    worker.end(tell=False)
    tab.wait_end(3)
    assert tab.last("done").data == {"state": "answered"}


def test_without_a_broker_the_database_tells_the_end(
    open_tab: Open, broker: redis.Redis, worker: Worker, no_broker: None
) -> None:
    tab = open_tab(worker.turn)
    worker.search(tell=False)
    worker.begin()
    tab.wait("sources", 3)
    worker.end(tell=False)
    tab.wait_end(3)
    assert tab.names()[-3:] == ["sources", "answer", "done"]
    assert "Within 24 hours" in str(tab.last("answer").data["html"])


def test_a_broker_that_stands_still_does_not_hold_up_the_end(
    open_tab: Open, broker: redis.Redis, worker: Worker
) -> None:
    tab = open_tab(worker.turn)
    worker.search()
    worker.begin()
    tab.wait("sources")
    broker.client_pause(6000, all=True)
    try:
        worker.end(tell=False)
        tab.wait_end(4)
    finally:
        broker.client_unpause()
    assert tab.last("done").data == {"state": "answered"}


def _cut_after(tab: Tab, cause: Callable[[], object], keep_talking: Callable[[], object]) -> float:
    """Seconds from the cause to the stream's end, while the worker goes on writing."""
    begun = time.monotonic()
    cause()
    while not tab.ended:
        assert time.monotonic() - begun < 5, "the stream was not cut"
        keep_talking()
        time.sleep(0.02)
    return tab.ended - begun


@pytest.fixture
def running(open_tab: Open, broker: redis.Redis, worker: Worker) -> tuple[Tab, Worker]:
    tab = open_tab(worker.turn)
    worker.search()
    worker.begin()
    worker.write("secret ")
    tab.wait("token")
    return tab, worker


def test_a_deactivated_person_is_cut_off_within_two_seconds(
    running: tuple[Tab, Worker], mara: Person
) -> None:
    tab, worker = running
    admin = make_person(mara.tenant, roles=[Role.TENANT_ADMIN])
    seconds = _cut_after(
        tab, lambda: accounts.set_active(scope_for(admin), mara.id, False), lambda: worker.write("x")
    )
    assert seconds < 2
    assert tab.names()[-1] == "gone"
    assert "answer" not in tab.names()


def test_a_password_reset_cuts_the_stream_within_two_seconds(
    running: tuple[Tab, Worker], mara: Person
) -> None:
    tab, worker = running
    admin = make_person(mara.tenant, roles=[Role.TENANT_ADMIN])
    assert (
        _cut_after(tab, lambda: accounts.reset_password(scope_for(admin), mara.id), lambda: worker.write("x"))
        < 2
    )


def test_a_session_that_ended_cuts_the_stream_within_two_seconds(
    running: tuple[Tab, Worker], page: Client
) -> None:
    tab, worker = running
    assert _cut_after(tab, page.session.delete, lambda: worker.write("x")) < 2


def test_a_deleted_conversation_cuts_the_stream_within_two_seconds(
    running: tuple[Tab, Worker], scope: Scope
) -> None:
    tab, worker = running
    conversation = worker.turn.conversation_id
    assert _cut_after(tab, lambda: services.delete(scope, conversation), lambda: None) < 2
    assert tab.names()[-1] == "gone"


def test_passages_of_a_library_that_was_closed_are_not_told(
    running: tuple[Tab, Worker], mara: Person
) -> None:
    tab, worker = running
    Grant.objects.all().delete()
    time.sleep(1.2)
    worker.end()
    tab.wait_end()
    assert "24 hours." not in str(tab.last("sources").data["html"])
    assert "no longer open to you" in str(tab.last("sources").data["html"])


def test_a_stream_of_somebody_else_is_not_there(
    open_tab: Open, broker: redis.Redis, answered: Turn, stranger: Person
) -> None:
    tab = open_tab(answered, client_of(stranger))
    tab.wait_end()
    assert tab.status == 404
    assert tab.told == []


def test_nobody_is_told_anything(open_tab: Open, broker: redis.Redis, answered: Turn) -> None:
    tab = open_tab(answered, Client())
    tab.wait_end()
    assert tab.status == 401


def test_a_place_that_no_stream_gave_out_is_a_new_connection(
    open_tab: Open, broker: redis.Redis, worker: Worker
) -> None:
    worker.search()
    worker.begin()
    worker.write("one ")
    tab = open_tab(worker.turn, **{"Last-Event-ID": "'; DROP TABLE turn"})
    tab.wait_text("one ")


def test_a_stream_lies_under_its_tenant_and_turn(broker: redis.Redis, worker: Worker) -> None:
    worker.search()
    assert broker.exists(turn_key(worker.turn.tenant, worker.turn.id))
    assert str(worker.turn.tenant) in turn_key(worker.turn.tenant, worker.turn.id)
