"""The pages: asking, reading, history; and what is answered to what cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from muniment.accounts.models import Person
from muniment.audit.models import AuditEvent
from muniment.conversations import services
from muniment.conversations.models import Conversation, Feedback, Turn, TurnState
from muniment.documents.models import Document, Passage
from muniment.scope import Label, Role, Scope
from muniment.tenancy.models import Grant
from tests.conversations.conftest import Worker, client_of
from tests.factories import grant, make_library, make_person

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

HTMX = {"HX-Request": "true"}


def words(response: Any) -> str:
    return str(response.content.decode())


def conversation_page(page: Client, turn: Turn) -> str:
    response = page.get(reverse("conversation", args=[turn.conversation_id]))
    assert response.status_code == 200
    return words(response)


# a new question


def test_the_first_page_asks_for_a_question(page: Client) -> None:
    response = page.get("/")
    assert response.status_code == 200
    assert "What do you want to know?" in words(response)
    assert '<option value="handbook">Handbook</option>' in words(response)


def test_nobody_is_sent_to_the_sign_in_page() -> None:
    assert Client().get("/").headers["Location"].startswith(reverse("sign-in"))


def test_an_officer_is_led_to_the_desk(mara: Person) -> None:
    officer = client_of(make_person(mara.tenant, roles=[Role.OFFICER]))
    assert officer.get("/").headers["Location"] == reverse("desk")


def test_a_question_may_ask_for_quotations_only_and_the_next_one_is_asked_so_again(page: Client) -> None:
    assert 'name="quote" value="1">' in words(page.get("/"))
    page.post("/ask", {"question": "When?", "library": ["handbook"], "quote": "1"})
    turn = Turn.objects.get()
    assert turn.mode == "quote"
    assert 'name="quote" value="1" checked>' in conversation_page(page, turn)
    Turn.objects.update(state=TurnState.STOPPED)
    page.post(reverse("ask-again", args=[turn.id]))
    assert [one.mode for one in Turn.objects.order_by("ordinal")] == ["quote", "quote"]
    Turn.objects.update(state=TurnState.STOPPED)
    page.post("/ask", {"question": "And when else?", "conversation": str(turn.conversation_id)})
    assert 'name="quote" value="1">' in conversation_page(page, turn)


def test_a_question_leads_to_its_conversation(page: Client) -> None:
    response = page.post("/ask", {"question": "When?", "library": ["handbook"]})
    turn = Turn.objects.get()
    assert response.status_code == 302
    url = reverse("conversation", args=[turn.conversation_id])
    assert response.headers["Location"] == f"{url}#turn-{turn.id}"
    html = conversation_page(page, turn)
    assert f'data-events-url="/turns/{turn.id}/events"' in html
    assert "Looking for passages." in html


def test_a_question_from_a_script_leads_there_too(page: Client) -> None:
    response = page.post("/ask", {"question": "When?"}, headers=HTMX)
    url = reverse("conversation", args=[Turn.objects.get().conversation_id])
    assert response.headers["HX-Redirect"] == url


def test_the_next_question_of_a_conversation_comes_as_its_turn(page: Client, answered: Turn) -> None:
    asked = {"question": "And at night?", "conversation": str(answered.conversation_id)}
    response = page.post("/ask", asked, headers=HTMX)
    second = Turn.objects.get(ordinal=2)
    assert f'id="turn-{second.id}"' in words(response)
    assert "<html" not in words(response)


def test_a_question_can_be_narrowed_to_documents(page: Client, document: Document) -> None:
    form = words(page.get("/", {"document": str(document.id)}))
    assert f'name="document" value="{document.id}"' in form
    page.post("/ask", {"question": "When?", "document": [str(document.id)]})
    turn = Turn.objects.get()
    assert turn.conversation.documents == [str(document.id)]
    assert "in incidents.pdf" in conversation_page(page, turn)


def test_a_person_without_libraries_is_told_whom_to_ask(mara: Person) -> None:
    html = words(client_of(make_person(mara.tenant)).get("/"))
    assert "Ask your administrator for access." in html
    assert "disabled" in html


def test_libraries_without_documents_say_so(mara: Person) -> None:
    person = make_person(mara.tenant)
    library = make_library(mara.tenant, "Empty", readers=[person])
    page = client_of(person)
    assert "have no documents yet. Ask whoever" in words(page.get("/"))
    Grant.objects.filter(library=library).delete()
    grant(library, person, 2)
    assert "Upload some, then ask." in words(page.get("/"))
    refused = page.post("/ask", {"question": "Anything?"})
    assert refused.status_code == 422
    assert not Turn.objects.exists()


# what cannot be asked


def test_an_empty_question_gets_a_sentence(page: Client) -> None:
    response = page.post("/ask", {"question": "  "})
    assert response.status_code == 422
    assert "Write a question first." in words(response)


def test_a_question_of_a_hundred_kilobytes_is_kept_in_the_form(page: Client) -> None:
    question = "why <b>not</b> " * 7000
    response = page.post("/ask", {"question": question})
    assert response.status_code == 413
    assert "A question has at most 8000 characters" in words(response)
    assert words(response).count("why &lt;b&gt;not&lt;/b&gt;") == 7000


def test_a_script_gets_the_form_back_in_its_place(page: Client) -> None:
    response = page.post("/ask", {"question": "x" * 100_000}, headers=HTMX)
    assert response.status_code == 422
    assert response.headers["HX-Retarget"] == "#composer"
    assert response.headers["HX-Reswap"] == "outerHTML"
    assert "<html" not in words(response)


def test_a_question_beside_an_open_one_gets_a_sentence(page: Client, turn: Turn) -> None:
    asked = {"question": "And at night?", "conversation": str(turn.conversation_id)}
    response = page.post("/ask", asked)
    assert response.status_code == 409
    assert "still being written" in words(response)
    assert "And at night?</textarea>" in words(response)
    assert Turn.objects.count() == 1


def test_a_form_without_its_token_is_refused(mara: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(mara)
    assert client.post("/ask", {"question": "When?"}).status_code == 403
    assert not Turn.objects.exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"library": ["board"]},
        {"library": ["nowhere"]},
        {"library": ["handbook", "board"]},
        {"document": [str(uuid4())]},
        {"document": ["1"]},
        {"conversation": str(uuid4())},
        {"conversation": "1' OR '1'='1"},
    ],
)
def test_what_is_not_open_is_not_there(page: Client, mara: Person, asked: dict[str, Any]) -> None:
    make_library(mara.tenant, "Board")
    response = page.post("/ask", {"question": "When?", **asked})
    assert response.status_code == 404
    assert not Turn.objects.exists()
    assert AuditEvent.objects.filter(action="access.denied").exists()


# reading


def test_an_answer_with_its_sources_and_what_it_rests_on(page: Client, worker: Worker) -> None:
    worker.answer("**Within 24 hours** [1].", left_out=3)
    html = conversation_page(page, worker.turn)
    link = f"/turns/{worker.turn.id}/sources/1"
    assert "<mark>Every incident is reported within 24 hours.</mark>" in html
    assert f'<a class="cite" href="{link}"' in html
    assert "<strong>Within 24 hours</strong>" in html
    assert "Read 2 passages of 1 document" in html
    assert "3 passages left out" in html
    assert "Written by a machine (small-model)" in html
    assert "data-events-url" not in html


def test_a_source_says_where_else_the_same_stands(page: Client, worker: Worker) -> None:
    worker.answer()
    first = worker.turn.sources.get(n=1)
    worker.turn.sources.filter(n=2).update(alike=[str(first.passage)])
    assert "The same in incidents.pdf, p. 1</span>" in conversation_page(page, worker.turn)


def test_nothing_found_says_so_and_shows_the_nearest(page: Client, worker: Worker) -> None:
    worker.search()
    worker.end(TurnState.NOT_IN_DOCUMENTS, "", ())
    html = conversation_page(page, worker.turn)
    assert "The documents do not answer this" in html
    assert "these are the nearest" in html
    assert "<mark>Every incident" in html


def test_an_answer_without_citations_warns(page: Client, worker: Worker) -> None:
    worker.search()
    worker.begin()
    worker.end(TurnState.WEAK, "Soon.", ())
    html = conversation_page(page, worker.turn)
    assert "not supported" in html
    assert "0 of 1 sentences supported" in html


def test_a_stopped_answer_says_so(page: Client, worker: Worker) -> None:
    worker.search()
    worker.begin()
    worker.end(TurnState.STOPPED, "Within", ())
    html = conversation_page(page, worker.turn)
    assert "stopped before its end" in html
    assert "Written by a machine" in html


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("unavailable", "Ask again in a minute"),
        ("prompt_too_long", "Ask a shorter one."),
        ("something_new", "Something went wrong"),
    ],
)
def test_a_failed_answer_says_what_to_do(page: Client, worker: Worker, code: str, sentence: str) -> None:
    worker.search()
    services.end_answer(worker.scope, worker.turn, TurnState.FAILED, "", error_code=code)
    html = conversation_page(page, worker.turn)
    assert sentence in html
    assert code not in html


def test_a_failed_question_can_be_asked_again(page: Client, worker: Worker) -> None:
    worker.search()
    services.end_answer(worker.scope, worker.turn, TurnState.FAILED, "", error_code="unavailable")
    page.post(reverse("ask-again", args=[worker.turn.id]))
    assert Turn.objects.get(ordinal=2).question == worker.turn.question


def test_a_models_html_does_not_reach_the_page(page: Client, worker: Worker) -> None:
    worker.answer("<script>alert(1)</script> ![x](https://evil.example/p.gif) [1]")
    html = conversation_page(page, worker.turn)
    assert "<script>alert" not in html
    assert "<img" not in html


def test_words_of_documents_are_escaped(page: Client, worker: Worker, document: Document) -> None:
    Document.objects.filter(pk=document.pk).update(name="<img src=x onerror=alert(1)>.pdf")
    worker.answer()
    html = conversation_page(page, worker.turn)
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_opening_a_conversation_is_written_down_once(page: Client, answered: Turn) -> None:
    conversation_page(page, answered)
    events = AuditEvent.objects.filter(action="conversation.viewed")
    assert [event.object_ref for event in events] == [str(answered.conversation_id)]


def test_without_the_trail_nothing_is_shown(
    page: Client, answered: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from muniment.audit.errors import AuditUnavailable

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise AuditUnavailable

    monkeypatch.setattr("muniment.conversations.services.record", refuse)
    response = page.get(reverse("conversation", args=[answered.conversation_id]))
    assert response.status_code == 503
    assert "24 hours" not in words(response)


def test_a_turn_alone_is_its_final_state(page: Client, answered: Turn) -> None:
    html = words(page.get(reverse("turn", args=[answered.id])))
    assert "Within 24 hours" in html
    assert "<html" not in html


def test_a_passage_that_is_no_longer_open_is_not_shown(
    page: Client, answered: Turn, document: Document
) -> None:
    Document.objects.filter(pk=document.pk).update(label=Label.SECRET)
    html = conversation_page(page, answered)
    assert "Every incident" not in html
    assert "incidents.pdf" not in html
    assert "no longer open to you" in html
    assert page.get(reverse("turn-source", args=[answered.id, 1])).status_code == 404


def test_a_source_opens_at_its_page_with_its_words_marked(page: Client, answered: Turn) -> None:
    response = page.get(reverse("turn-source", args=[answered.id, 1]), headers=HTMX)
    html = words(response)
    assert response.status_code == 200
    assert "Every incident is reported within 24 hours." in html
    assert "<mark" in html
    assert AuditEvent.objects.filter(action="document.viewed").count() == 1


def test_citations_lead_from_one_to_the_next(page: Client, worker: Worker) -> None:
    worker.search()
    worker.begin()
    worker.end(answer="Within 24 hours [1], by voice [2].", cited=(1, 2))
    first = words(page.get(reverse("turn-source", args=[worker.turn.id, 1]), headers=HTMX))
    assert "Citation 1 of 2" in first
    assert f'href="/turns/{worker.turn.id}/sources/2"' in first
    second = words(page.get(reverse("turn-source", args=[worker.turn.id, 2]), headers=HTMX))
    assert "Citation 2 of 2" in second


def test_a_receipt_names_what_made_the_answer(page: Client, answered: Turn) -> None:
    passage = Passage.objects.get(version__document__name="incidents.pdf", page=1)
    made = {
        "llm_sha256": "ab" * 32,
        "template_sha256": "cd" * 32,
        "params": {"temperature": 0, "seed": 0, "n_ctx": 2048, "backend": "llama.cpp 1"},
        "passages": [{"rank": 1, "chunk_sha256": passage.sha256, "start": 0, "end": 40}],
    }
    Turn.objects.update(receipt={**answered.receipt, **made})
    url = reverse("turn-receipt", args=[answered.id])
    assert f'href="{url}"' in conversation_page(page, answered)
    html = words(page.get(url))
    for told in ("ab" * 32, "cd" * 32, "llama.cpp 1", "incidents.pdf", passage.sha256, "characters 0 to 40"):
        assert told in html
    assert Turn.objects.get().receipt["prompt_commit"] in html
    assert AuditEvent.objects.filter(action="conversation.viewed").count() == 2


def test_what_no_model_answered_has_no_receipt(page: Client, worker: Worker) -> None:
    worker.search()
    worker.end(TurnState.NOT_IN_DOCUMENTS, "", ())
    assert "/receipt" not in conversation_page(page, worker.turn)
    assert page.get(reverse("turn-receipt", args=[worker.turn.id])).status_code == 404


def test_a_source_that_the_turn_has_not_is_not_there(page: Client, answered: Turn) -> None:
    assert page.get(reverse("turn-source", args=[answered.id, 9])).status_code == 404


# what a person does with an answer


def test_stop_from_a_script_and_without(page: Client, scope: Scope, turn: Turn) -> None:
    assert page.post(reverse("stop-turn", args=[turn.id]), headers=HTMX).status_code == 204
    assert Turn.objects.get(pk=turn.pk).state == TurnState.STOPPED
    other = services.ask(scope, "Another?")
    assert page.post(reverse("stop-turn", args=[other.id])).status_code == 302
    assert "stopped before it began" in conversation_page(page, other)


def test_thumbs_with_a_reason(page: Client, answered: Turn) -> None:
    url = reverse("rate-turn", args=[answered.id])
    html = words(page.post(url, {"rating": "down"}, headers=HTMX))
    assert "What was not right?" in html
    html = words(page.post(url, {"rating": "down", "reason": "Wrong <b>day</b>"}, headers=HTMX))
    assert "Noted, thank you." in html
    assert Feedback.objects.get().reason == "Wrong <b>day</b>"
    assert page.post(url, {"rating": "up"}).status_code == 302
    assert Feedback.objects.get().value == 1


def test_before_anything_is_shared_the_form_says_who_will_see_it(page: Client, answered: Turn) -> None:
    url = reverse("rate-turn", args=[answered.id])
    html = words(page.post(url, {"rating": "down"}, headers=HTMX))
    assert "They see your question, this answer, its passages and what you write here" in html
    assert 'name="share" value="1" checked' in html
    assert not Feedback.objects.get().shared, "the first press comes before the sentence was read"
    html = words(page.post(url, {"rating": "down", "reason": "Late", "share": "1"}, headers=HTMX))
    assert "Whoever looks after the library can see it." in html
    assert Feedback.objects.get().shared
    html = words(page.post(url, {"rating": "private"}, headers=HTMX))
    assert "Only you can see it." in html
    feedback = Feedback.objects.get()
    assert (feedback.shared, feedback.reason) == (False, "Late")


def test_who_unticks_it_keeps_it_to_themselves(page: Client, answered: Turn) -> None:
    url = reverse("rate-turn", args=[answered.id])
    html = words(page.post(url, {"rating": "down", "reason": "Late"}, headers=HTMX))
    assert "Only you can see it." in html
    assert not Feedback.objects.get().shared


def test_a_rating_that_is_not_there_cannot_be_kept_private(page: Client, answered: Turn) -> None:
    assert page.post(reverse("rate-turn", args=[answered.id]), {"rating": "private"}).status_code == 404


def test_a_thumb_is_up_or_down(page: Client, answered: Turn) -> None:
    response = page.post(reverse("rate-turn", args=[answered.id]), {"rating": "sideways"})
    assert response.status_code == 422
    assert not Feedback.objects.exists()


def test_rename_and_delete(page: Client, answered: Turn) -> None:
    conversation = answered.conversation_id
    page.post(reverse("rename-conversation", args=[conversation]), {"title": "Deadlines"})
    assert Conversation.objects.get().title == "Deadlines"
    response = page.post(reverse("rename-conversation", args=[conversation]), {"title": " "}, follow=True)
    assert "A title has 1 to 120 characters." in words(response)
    response = page.post(reverse("delete-conversation", args=[conversation]), follow=True)
    assert "The conversation was deleted." in words(response)
    assert not Conversation.objects.exists()


# history


def test_history_lists_what_the_person_asked(page: Client, scope: Scope, answered: Turn) -> None:
    services.ask(scope, "Who signs off?")
    html = words(page.get(reverse("conversations")))
    assert "When must an incident be reported?" in html
    assert "Who signs off?" in html
    assert "all your libraries" in html


def test_history_finds_words_of_later_questions(page: Client, scope: Scope, answered: Turn) -> None:
    services.ask(scope, "What about contractors?", answered.conversation_id)
    services.ask(scope, "Who signs off?")
    main = words(page.get(reverse("conversations"), {"q": "contractors"})).partition("<main")[2]
    assert "When must an incident be reported?" in main
    assert "Who signs off?" not in main
    assert "No question fits" in words(page.get(reverse("conversations"), {"q": "zebra"}))


def test_history_goes_over_pages(page: Client, mara: Person) -> None:
    for number in range(31):
        row = Conversation.objects.create(tenant=mara.tenant_id, person=mara.id, title=f"Question {number}")
        Turn.objects.create(tenant=mara.tenant_id, conversation=row, ordinal=1, question="?")
    assert "1 to 30 of 31" in words(page.get(reverse("conversations")))
    assert "31 to 31 of 31" in words(page.get(reverse("conversations"), {"page": "2"}))
    assert page.get(reverse("conversations"), {"page": "x"}).status_code == 200


# other people's


ROUTES: list[tuple[str, str, Callable[[Turn], list[object]]]] = [
    ("get", "conversation", lambda turn: [turn.conversation_id]),
    ("post", "rename-conversation", lambda turn: [turn.conversation_id]),
    ("post", "delete-conversation", lambda turn: [turn.conversation_id]),
    ("get", "turn", lambda turn: [turn.id]),
    ("post", "stop-turn", lambda turn: [turn.id]),
    ("post", "rate-turn", lambda turn: [turn.id]),
    ("post", "ask-again", lambda turn: [turn.id]),
    ("get", "turn-source", lambda turn: [turn.id, 1]),
    ("get", "turn-receipt", lambda turn: [turn.id]),
    ("get", "export-answer", lambda turn: [turn.id, "md"]),
]
FORM = {"rating": "up", "title": "Mine now", "question": "And?"}


@pytest.mark.parametrize(("method", "name", "ids"), ROUTES, ids=[route[1] for route in ROUTES])
def test_other_peoples_are_the_same_bytes_as_what_is_not_there(
    answered: Turn, stranger: Person, method: str, name: str, ids: Callable[[Turn], list[object]]
) -> None:
    page = client_of(stranger)
    page.get("/")
    absent = Turn(id=uuid4(), conversation_id=uuid4())
    replies = [
        getattr(page, method)(reverse(name, args=ids(turn)), FORM if method == "post" else {})
        for turn in (answered, absent)
    ]
    assert [reply.status_code for reply in replies] == [404, 404]
    assert replies[0].content == replies[1].content
    assert {**replies[0].headers, "X-Request-Id": ""} == {**replies[1].headers, "X-Request-Id": ""}
    assert Turn.objects.get(pk=answered.pk).conversation.title == "When must an incident be reported?"
    assert Turn.objects.count() == 1


def test_other_peoples_conversation_cannot_be_asked_on(answered: Turn, stranger: Person) -> None:
    page = client_of(stranger)
    foreign = page.post("/ask", {"question": "And?", "conversation": str(answered.conversation_id)})
    absent = page.post("/ask", {"question": "And?", "conversation": str(uuid4())})
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content


def test_every_route_of_the_room_is_walked() -> None:
    from muniment.conversations.urls import urlpatterns

    walked = {route[1] for route in ROUTES}
    with_own_tests = {"ask-page", "ask", "conversations", "turn-events", "document-answers"}
    assert {pattern.name for pattern in urlpatterns} == walked | with_own_tests
