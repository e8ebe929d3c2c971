"""Whether passages hold an answer is judged by meaning, words, and the names that are asked about."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.documents.models import Document, Passage, Version
from muniment.pages.errors import Forbidden
from muniment.registry.services import store_calibration
from muniment.scope import Role, Scope
from tests.house import House, events
from workers.answer import answerable
from workers.answer.answerable import BY_WORDS, KNOWN, Evidence, Weights, evidence_of, weights_of
from workers.answer.retrieve import Candidate

(MINILM,) = KNOWN.values()
SHARE = st.floats(0, 1)
EVIDENCE = st.builds(Evidence, SHARE, SHARE, SHARE)


def candidate(text: str, similarity: float, overlap: float, language: str = "en") -> Candidate:
    document = Document(id=uuid4(), name="bestbuy_2031.txt", title="Vendors of Arnum")
    version = Version(id=uuid4(), document=document, language=language)
    passage = Passage(id=uuid4(), version=version, text=text, heading="One")
    return Candidate(passage, 1.0, 0, len(text), similarity, overlap)


PAID = candidate("Julia was paid 850 dollars for the paint.", 0.55, 0.6)


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("How much was Julia paid?", 0.0),
        ("How much was Stripe paid?", 1.0),
        ("How much was Stripe paid, how much Julia?", 0.5),
        ("How much did Arnum pay?", 0.0),
        ("What does the form KS-4471 cost?", 1.0),
        ("how much was paid?", 0.0),
        ("How much was Julia paid in FY2031?", 0.0),
        ("What did Bestbuy pay?", 0.0),
    ],
)
def test_names_and_codes_that_a_passage_and_its_title_lack_are_missing(question: str, missing: float) -> None:
    (found,) = evidence_of(question, [PAID])
    assert (found.similarity, found.overlap, found.missing) == (0.55, 0.6, missing)


def test_nouns_of_a_language_that_begins_all_with_a_capital_are_no_names() -> None:
    (found,) = evidence_of("Wann endet der Vertrag?", [candidate("Die Miete endet im Mai.", 0.5, 0.3, "de")])
    assert found.missing == 0


def test_somebody_whom_no_document_names_is_not_taken_for_his_neighbour() -> None:
    assert MINILM.hold(evidence_of("How much was Julia paid?", [PAID]))
    assert not MINILM.hold(evidence_of("How much was Stripe paid?", [PAID]))


def test_nothing_found_holds_nothing() -> None:
    assert not MINILM.hold([]) and not BY_WORDS.hold([])
    assert MINILM.likely([]) == 0


@pytest.mark.parametrize("weights", [MINILM, BY_WORDS])
def test_what_has_nothing_to_do_with_the_question_is_refused_and_the_like_is_not(weights: Weights) -> None:
    assert not weights.hold([Evidence(0.1, 0.1, 0.0)])
    assert weights.hold([Evidence(0.9, 0.9, 0.0)])


@given(EVIDENCE, EVIDENCE)
def test_more_evidence_never_makes_an_answer_less_likely(one: Evidence, other: Evidence) -> None:
    for weights in (MINILM, BY_WORDS):
        assert weights.likely([one, other]) == max(weights.likely([one]), weights.likely([other]))
        better = replace(one, similarity=1.0, overlap=1.0, missing=0.0)
        assert weights.likely([better]) >= weights.likely([one])


def test_what_was_calibrated_here_comes_before_what_the_release_knows(house: House) -> None:
    (sha256,) = KNOWN
    assert weights_of(sha256) == MINILM
    assert weights_of("ef" * 32) == BY_WORDS
    own = Weights(-1.0, 2.0, 3.0, -4.0, 0.5)
    _keep(house, sha256, own)
    assert weights_of(sha256) == own
    (event,) = events("engine.calibrated")
    assert event["details"] == {"embedder_sha256": sha256, "questions": 40}
    # A form of a later release.
    assert answerable.read({**answerable.stored(own), "v": 2}) is None


def test_only_who_cares_for_the_site_may_change_it(house: House) -> None:
    nobody = Scope(tenant=house.tenant.id)
    with pytest.raises(Forbidden):
        store_calibration(nobody, "ef" * 32, {}, {"questions": 1})


def _keep(house: House, sha256: str, weights: Weights) -> None:
    scope = Scope(tenant=house.tenant.id, roles=frozenset({Role.SITE_ADMIN}))
    store_calibration(scope, sha256, answerable.stored(weights), {"questions": 40, "datasets": ["x"]})
