"""Who keeps questions and runs them, what is stored, and what lands in the trail."""

from __future__ import annotations

from uuid import uuid4

import pytest

from muniment.conversations.models import Conversation, Turn, TurnState
from muniment.evaluation import queries, services
from muniment.evaluation.models import Case, Run, RunState
from muniment.jobs.models import Job, Kind
from muniment.pages.errors import Conflict, Forbidden, Invalid, NotFound
from muniment.scope import Label, Role, Scope
from tests.factories import make_document, make_library, make_person, make_tenant, scope_for
from tests.house import House, events


@pytest.fixture
def scope(house: House) -> Scope:
    return scope_for(house.curator)


def test_a_curator_keeps_a_question_with_what_answers_it(house: House, scope: Scope) -> None:
    document = make_document(house.library)
    case = services.add_case(scope, house.library.id, "  When do doors close? ", document.id, 1)
    assert (case.question, case.document, case.page) == ("When do doors close?", document.id, 1)
    (body,) = events("case.added")
    assert "doors" not in str(body) and body["details"]["library"] == str(house.library.id)
    assert services.remove_case(scope, case.id) == house.library.id
    assert len(events("case.removed")) == 1 and not Case.objects.exists()


def test_others_keep_none(house: House, scope: Scope) -> None:
    case = services.add_case(scope, house.library.id, "Who?")
    with pytest.raises(Forbidden):
        services.add_case(scope_for(house.clerk), house.library.id, "Who?")
    elsewhere = make_tenant()
    stranger = make_person(elsewhere, roles=[Role.CURATOR])
    make_library(elsewhere, contributors=[stranger])
    for someone in (house.clerk, stranger):
        with pytest.raises(NotFound):
            services.remove_case(scope_for(someone), case.id)
    with pytest.raises(NotFound):
        services.request_run(scope_for(stranger), house.library.id)


def test_what_cannot_be_right_is_refused(house: House, scope: Scope) -> None:
    secret = make_document(house.library, "secret.txt", label=Label.SECRET)
    other = make_document(make_library(house.tenant, "Other", contributors=[house.curator]))
    for question, document, page in (
        (" ", None, None),
        ("x" * 8001, None, None),
        ("Who?", secret.id, None),
        ("Who?", other.id, None),
        ("Who?", None, 3),
    ):
        with pytest.raises(Invalid):
            services.add_case(scope_for(house.curator), house.library.id, question, document, page)
    assert not Case.objects.exists()


def test_a_question_that_was_asked_becomes_a_case_once(house: House, scope: Scope) -> None:
    asked = Conversation.objects.create(
        tenant=house.tenant.id, person=house.curator.id, title="T", libraries=[str(house.library.id)]
    )
    turn = Turn.objects.create(
        tenant=house.tenant.id, conversation=asked, ordinal=1, question="Why?", state=TurnState.ANSWERED
    )
    (case,) = services.keep_turn(scope, turn.id)
    assert (case.question, case.turn, case.document) == ("Why?", turn.id, None)
    with pytest.raises(Conflict):
        services.keep_turn(scope, turn.id)
    with pytest.raises(NotFound):
        services.keep_turn(scope_for(house.clerk), turn.id)


def test_a_run_is_ordered_once_and_ends_once(house: House, scope: Scope) -> None:
    with pytest.raises(Invalid):
        services.request_run(scope, house.library.id)
    case = services.add_case(scope, house.library.id, "Who?")
    run = services.request_run(scope, house.library.id)
    assert Job.objects.get(kind=Kind.EVALUATE).subject == run.id
    with pytest.raises(Conflict):
        services.request_run(scope, house.library.id)
    rows = [{"query": str(case.id), "question": "Who?", "measures": {}, "found": []}]
    services.end_run(scope, run, services.as_results(run, rows), questions="0" * 64)
    with pytest.raises(Conflict):
        services.end_run(scope, run, [])
    services.fail_run(scope, run, "unavailable")
    run.refresh_from_db()
    assert run.state == RunState.DONE and run.results.get().question == "Who?"
    assert [len(events(f"evaluation.{what}")) for what in ("begun", "ended")] == [1, 1]


def _run(house: House, scope: Scope, *measures: dict[str, float]) -> Run:
    run = services.begin_run(scope, house.library.id, "")
    rows = [
        {"query": str(n), "question": "Q", "measures": values, "found": []}
        for n, values in enumerate(measures)
    ]
    services.end_run(scope, run, services.as_results(run, rows))
    return run


def test_a_run_is_compared_with_the_one_before(house: House, scope: Scope) -> None:
    first = _run(house, scope, {"mrr@10": 0.0}, {"mrr@10": 1.0})
    failed = services.begin_run(scope, house.library.id, "")
    services.fail_run(scope, failed, "unavailable")
    second = _run(house, scope, {"mrr@10": 0.5}, {"mrr@10": 1.0})
    assert queries.run_before(scope, first) is None
    assert queries.run_before(scope, second) == first
    (found,) = queries.compared(first, second)
    assert (found.better, found.worse, found.same) == (1, 0, 1)


def test_documents_above_a_curators_clearance_are_not_named(house: House, scope: Scope) -> None:
    seen, hidden = make_document(house.library), make_document(house.library, "s.txt", label=Label.SECRET)
    run = services.begin_run(scope, house.library.id, "")
    found = [{"document": str(d), "page": 1, "score": 1.0} for d in (seen.id, hidden.id, uuid4())]
    rows = [{"query": "1", "question": "Q", "measures": {}, "found": found}]
    services.end_run(scope, run, services.as_results(run, rows))
    assert queries.documents_found(scope, list(run.results.all())) == {str(seen.id): seen}
