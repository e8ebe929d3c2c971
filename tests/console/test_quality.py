"""A curator's pages: keep a question, order a run, see what was found, keep a question that was asked."""

from __future__ import annotations

import redis
from django.test import Client
from django.urls import reverse

from muniment.conversations.models import Conversation, Turn, TurnState
from muniment.evaluation import services
from muniment.evaluation.models import Case, Run
from muniment.scope import Label, Role
from tests.factories import make_document, make_person, scope_for
from tests.house import House, signed_in


def _page(client: Client, name: str, *args: object) -> str:
    response = client.get(reverse(name, args=args))
    assert response.status_code == 200
    return str(response.content.decode())


def test_a_question_is_kept_changed_and_removed(house: House) -> None:
    client, document = signed_in(house.curator), make_document(house.library)
    hidden = make_document(house.library, "secret.txt", label=Label.SECRET)
    url = reverse("keep-case", args=[house.library.id])
    assert client.post(url, {"question": "When?", "document": hidden.name}).status_code == 422
    assert client.post(url, {"question": "When?", "page": "2"}).status_code == 422
    assert not Case.objects.exists()

    assert (
        client.post(url, {"question": "When do doors close?", "document": document.name}).status_code == 302
    )
    case = Case.objects.get()
    assert "When do doors close?" in _page(client, "library-quality", house.library.id)
    prefilled = client.get(reverse("library-quality", args=[house.library.id]), {"case": str(case.id)})
    assert f'value="{case.id}"' in prefilled.content.decode()
    client.post(url, {"case": str(case.id), "question": "When?", "document": document.name, "page": "1"})
    case.refresh_from_db()
    assert (case.question, case.page) == ("When?", 1)
    client.post(reverse("remove-case", args=[case.id]))
    assert not Case.objects.exists()


def test_a_run_is_ordered_once_and_shown_against_the_one_before(house: House, broker: redis.Redis) -> None:
    client, document = signed_in(house.curator), make_document(house.library)
    scope = scope_for(house.curator)
    case = services.add_case(scope, house.library.id, "When do doors close?", document.id)
    for right in (0.0, 1.0):
        client.post(reverse("start-run", args=[house.library.id]))
        again = client.post(reverse("start-run", args=[house.library.id]), follow=True)
        assert "A run is on its way already." in again.content.decode()
        run = Run.objects.latest("created_at")
        found = [{"document": str(document.id), "page": 1, "score": 1.0}] if right else []
        values = {"recall@5": right, "mrr@10": right}
        rows = [{"query": str(case.id), "question": case.question, "measures": values, "found": found}]
        measures = {name: {"mean": value, "questions": 1} for name, value in values.items()}
        services.end_run(scope, run, services.as_results(run, rows), measures=measures)
    page = _page(client, "run", run.id)
    assert f"{document.name}, page 1" in page
    assert "Since the run before" in page and "may be chance" in page
    assert "100 %" in _page(client, "library-quality", house.library.id)
    assert "Handbook" in _page(client, "quality")


def test_ones_own_question_becomes_a_kept_one_with_a_click(house: House) -> None:
    def asked(person: object) -> Turn:
        conversation = Conversation.objects.create(
            tenant=house.tenant.id, person=person, title="T", libraries=[str(house.library.id)]
        )
        return Turn.objects.create(
            tenant=house.tenant.id,
            conversation=conversation,
            ordinal=1,
            question="Why?",
            state=TurnState.ANSWERED,
            answer="So.",
        )

    client, turn = signed_in(house.curator), asked(house.curator.id)
    keep = reverse("keep-question", args=[turn.id])
    assert keep in _page(client, "conversation", turn.conversation_id)
    assert "which document answers it" in client.post(keep, follow=True).content.decode()
    assert Case.objects.get().turn == turn.id
    assert client.post(keep, follow=True).status_code == 200 and Case.objects.count() == 1

    theirs, reader = asked(house.reader.id), signed_in(house.reader)
    assert "Keep for measuring" not in _page(reader, "conversation", theirs.conversation_id)
    assert client.post(reverse("keep-question", args=[theirs.id])).status_code == 404


def test_another_curator_finds_nothing_here(house: House) -> None:
    run = services.begin_run(scope_for(house.curator), house.library.id, "")
    case = services.add_case(scope_for(house.curator), house.library.id, "Who?")
    other = make_person(house.tenant, roles=[Role.CURATOR])
    client = signed_in(other)
    assert client.get(reverse("quality")).status_code == 403
    assert client.get(reverse("run", args=[run.id])).status_code == 404
    assert client.post(reverse("remove-case", args=[case.id])).status_code == 404
