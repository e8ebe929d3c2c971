"""How two scores become one rank."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.answer import fuse
from workers.engines import Hit

DOCUMENT = uuid4()


def hit(cosine: float, words: float = 0.0, document: UUID = DOCUMENT) -> Hit:
    return Hit(uuid4(), document, document, cosine, words)


def best(scores: fuse.Scores) -> UUID:
    return max(scores, key=lambda id: scores[id])


def test_who_stands_out_by_words_comes_before_who_is_a_little_nearer() -> None:
    named, near = hit(0.60, words=20), hit(0.62, words=4)
    others = [hit(0.1 + n / 1000, words=3) for n in range(50)]
    assert best(fuse.fused([near, named, *others], 0.3, 256)) == named.id


def test_a_passage_without_a_word_in_common_can_be_first() -> None:
    meant = hit(0.9)
    others = [hit(0.1 + n / 1000, words=3 + n / 1000) for n in range(50)]
    scores = fuse.fused([meant, *others], 0.5, 256)
    assert scores[meant.id] == pytest.approx(0.5)
    assert scores[others[0].id] < scores[others[-1].id]


def test_meaning_counts_where_it_agrees_with_rare_words() -> None:
    first = [hit(0.8, words=20) for _ in range(5)]
    rest = [hit(0.2 + (n % 7) / 100, words=5 - n / 50) for n in range(60)]
    assert fuse.trust([*first, *rest]) == pytest.approx(fuse.LEAST_TRUST + fuse.MORE_TRUST)


def test_meaning_that_has_nothing_to_do_with_the_words_hardly_counts() -> None:
    """As of an embedder that does not know the language."""
    noise = [hit(0.5 + (n * 7 % 11) / 100, words=20 - n / 5) for n in range(70)]
    assert fuse.trust(noise) < 0.2


def test_few_passages_say_nothing_of_the_agreement() -> None:
    assert fuse.agreement([hit(0.5, words=1) for _ in range(19)]) == fuse.USUAL_AGREEMENT


def test_the_document_that_the_question_names_is_preferred() -> None:
    names = {uuid4(): f"ACME_{year}_annual_report.pdf" for year in range(2015, 2024)}
    evidence = fuse.name_evidence("What did Acme spend in FY2018?", names)
    chosen = max(evidence, key=lambda document: evidence[document])
    assert names[chosen] == "ACME_2018_annual_report.pdf"
    assert evidence[chosen] == 1


def test_names_that_share_nothing_with_the_question_change_nothing() -> None:
    hits = [hit(0.5, document=uuid4()) for _ in range(3)]
    evidence = fuse.name_evidence("Who pays?", {one.document: "minutes.txt" for one in hits})
    scores = fuse.fused(hits, 0.3, 256)
    assert fuse.with_names(scores, hits, evidence) == scores


hits = st.lists(st.builds(hit, st.floats(-1, 1), st.floats(0, 50)), max_size=60)


@given(found=hits, nearest=st.integers(1, 60))
def test_scores_stay_between_zero_and_one(found: list[Hit], nearest: int) -> None:
    share = fuse.trust(found)
    assert fuse.LEAST_TRUST <= share <= fuse.LEAST_TRUST + fuse.MORE_TRUST
    assert all(0 <= score <= 1 for score in fuse.fused(found, share, nearest).values())
