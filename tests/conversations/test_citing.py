"""Which answers cite a document: one's own, and for who curates it how many others, as numbers."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from muniment.accounts.models import Person
from muniment.conversations import queries, services
from muniment.conversations.models import Source, Turn
from muniment.documents.models import Document
from muniment.scope import Label, Role, Scope
from tests.conversations.conftest import Worker, client_of
from tests.factories import grant, make_person, make_tenant, publish_version, scope_for
from tests.house import events

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]
HTMX = {"HX-Request": "true"}


def answers(client: Client, document: Document, part: bool = False) -> str:
    url = reverse("document-answers", args=[document.id])
    response = client.get(url, headers=HTMX if part else {})
    assert response.status_code == 200
    return str(response.content.decode())


@pytest.fixture
def curator(mara: Person, document: Document) -> Person:
    person = make_person(mara.tenant, "curator", roles=[Role.CURATOR])
    grant(document.library, person, 2)
    return person


def test_a_document_leads_to_the_answers_that_cite_it(
    page: Client, answered: Turn, document: Document
) -> None:
    shown = page.get(reverse("document", args=[document.id]), follow=True).content.decode()
    assert f'hx-get="{reverse("document-answers", args=[document.id])}"' in shown
    html = answers(page, document)
    url = reverse("conversation", args=[answered.conversation_id])
    assert f'href="{url}#turn-{answered.id}"' in html
    assert "replaced since" not in html
    assert "<html" not in answers(page, document, part=True)


def test_an_answer_that_only_read_the_document_is_not_listed(
    page: Client, answered: Turn, document: Document
) -> None:
    Source.objects.update(cited=False)
    assert "None of your answers cites this document." in answers(page, document)


def test_an_answer_that_cites_an_older_version_says_so(
    page: Client, answered: Turn, document: Document
) -> None:
    publish_version(document, ["Every incident is reported within 12 hours."])
    assert "replaced since" in answers(page, document)


def test_those_of_others_are_a_number_for_the_curator_and_nothing_for_a_reader(
    answered: Turn, document: Document, stranger: Person, curator: Person, scope: Scope
) -> None:
    grant(document.library, stranger)
    html = answers(client_of(stranger), document)
    assert "of others" not in html and "incident be reported" not in html
    publish_version(document, ["Every incident is reported within 12 hours."])
    Worker(scope, services.ask(scope, "And now?")).answer()
    Source.objects.filter(turn__question="And now?").update(version=Document.objects.get().current_id)
    html = answers(client_of(curator), document)
    assert "2 answers of others cite this document, 1 of them a version that was replaced since." in html
    assert "v2: 1 · v1: 1" in html
    assert "incident be reported" not in html and "And now?" not in html and "Mara" not in html
    assert "None of your answers cites this document." in html


def test_a_curator_of_another_library_gets_no_number(answered: Turn, document: Document) -> None:
    other = make_person(document.library.tenant, roles=[Role.CURATOR])
    grant(document.library, other, 1)
    assert queries.answers_of_others(scope_for(other), document) is None


def test_what_is_not_open_is_not_there(page: Client, answered: Turn, document: Document) -> None:
    Document.objects.update(label=Label.SECRET)
    missing = reverse("document-answers", args=[uuid4()])
    for url in (reverse("document-answers", args=[document.id]), missing):
        assert page.get(url).status_code == 404
    Document.objects.update(label=Label.PUBLIC)
    outsider = client_of(make_person(make_tenant(), roles=[Role.CURATOR]))
    assert outsider.get(reverse("document-answers", args=[document.id])).status_code == 404
    assert events("document.answers_viewed") == []


def test_looking_is_in_the_trail(page: Client, answered: Turn, document: Document, curator: Person) -> None:
    answers(page, document)
    answers(client_of(curator), document)
    mine, theirs = events("document.answers_viewed")
    assert mine["object"]["ref"] == str(document.id)
    assert mine["details"] == {"library": str(document.library_id), "counted": False}
    assert theirs["details"]["counted"] is True


def test_many_answers_cost_no_more_queries_than_one(
    scope: Scope, answered: Turn, document: Document, curator: Person, django_assert_num_queries: Any
) -> None:
    for _number in range(4):
        Worker(scope, services.ask(scope, "Again?", answered.conversation_id)).answer()
    with django_assert_num_queries(1):
        found = list(queries.answers_citing(scope, document))
        assert {turn.conversation.title for turn in found} == {"When must an incident be reported?"}
    assert len(found) == 5
    curating = scope_for(curator)
    with django_assert_num_queries(2):
        others = queries.answers_of_others(curating, document)
    assert others is not None and (others.count, others.replaced) == (5, 0)


def test_a_long_list_is_cut_where_it_is_a_part(
    page: Client, scope: Scope, answered: Turn, document: Document
) -> None:
    for _number in range(10):
        Worker(scope, services.ask(scope, "Again?", answered.conversation_id)).answer()
    part = answers(page, document, part=True)
    assert part.count('<th scope="row">') == 10 and "All of them" in part
    assert answers(page, document).count('<th scope="row">') == 11
