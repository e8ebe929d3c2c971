"""How two scores become one rank."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.documents.queries import Place
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
    assert fuse.trust(noise) < fuse.LEAST_TRUST + fuse.MORE_TRUST / 4


def test_steps_that_are_left_out_leave_one_side_alone_or_forget_the_agreement() -> None:
    first = [hit(0.8, words=20) for _ in range(5)]
    rest = [hit(0.2 + (n % 7) / 100, words=5 - n / 50) for n in range(60)]
    assert fuse.trust([*first, *rest], {"meaning"}) == 0
    assert fuse.trust([*first, *rest], {"words"}) == 1
    assert fuse.trust([*first, *rest], {"trust"}) == fuse.trust([]) < fuse.trust([*first, *rest])


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


def chapter(*scores: float) -> tuple[fuse.Scores, dict[UUID, Place]]:
    """Passages in order, all there are of one version."""
    version, ids = uuid4(), [uuid4() for _ in scores]
    places = {id: Place(version, at, len(ids)) for at, id in enumerate(ids)}
    return dict(zip(ids, scores, strict=True)), places


def test_of_two_alike_the_one_among_others_that_fit_is_first() -> None:
    among, of_it = chapter(0.6, 0.5, 0.6)
    lost, of_that = chapter(0.0, 0.5, 0.0)
    scores = fuse.with_neighbours(among | lost, of_it | of_that)
    assert scores[list(among)[1]] > scores[list(lost)[1]]


def test_a_document_of_one_passage_is_no_worse_than_one_of_many_that_fit_as_well() -> None:
    alone, of_it = chapter(0.5)
    many, of_them = chapter(0.5, 0.5, 0.5, 0.5)
    scores = fuse.with_neighbours(alone | many, of_it | of_them)
    assert len({round(score, 9) for score in scores.values()}) == 1


def test_passages_far_away_or_of_another_version_are_no_neighbours() -> None:
    near, of_it = chapter(0.5, 0.0, 0.0, 0.9)
    other, _ = chapter(0.9)
    stranger = {id: Place(uuid4(), 1, 4) for id in other}
    scores = fuse.with_neighbours(near | other, of_it | stranger)
    assert scores[next(iter(near))] == 0.5


def test_every_step_that_is_left_out_changes_the_ranking_or_leaves_it_whole() -> None:
    named, other = uuid4(), uuid4()
    found = [hit(0.9, 1, other), hit(0.2, 9, named), hit(0.5, 5, other)]
    names = {named: "oven.txt", other: "lamp.txt"}
    version = uuid4()
    places = {one.id: Place(version, at, 3) for at, one in enumerate(found)}

    def chain(*without: str) -> fuse.Scores:
        share = fuse.trust(found, set(without))
        return fuse.scored("Which oven?", found, share, 256, names, lambda ids: places, set(without))

    assert all(chain(step) != chain() for step in ("meaning", "words", "neighbours", "names"))
    assert chain("names", "neighbours") == fuse.fused(found, fuse.trust(found), 256)
    assert best(chain("words", "names", "neighbours")) == found[0].id
    assert best(chain("meaning", "names", "neighbours")) == found[1].id


@given(st.lists(st.floats(0, 1), max_size=20), st.integers(0, 25))
def test_neighbours_only_add_and_never_more_than_their_share(scores: list[float], of: int) -> None:
    before, places = chapter(*scores)
    some = {id: Place(place.version, place.ordinal, max(of, len(scores))) for id, place in places.items()}
    after = fuse.with_neighbours(before, some)
    most = fuse.NEIGHBOUR_SHARE * max(scores, default=0.0) + 1e-9
    assert all(before[id] <= after[id] <= before[id] + most for id in before)
    assert fuse.with_neighbours(before, {}) == before


def test_a_passage_that_answers_one_part_stands_beside_those_that_answer_the_other() -> None:
    one, other, both = uuid4(), uuid4(), uuid4()
    whole = [(both, 0.7), (one, 0.5)]
    orders = [whole, [(one, 0.9), (both, 0.3)], [(other, 0.8)]]
    assert fuse.merged(orders) == [(one, 0.9), (other, 0.8), (both, 0.7)]
    assert fuse.merged([whole]) == whole
    assert fuse.merged([[]]) == []


hits = st.lists(st.builds(hit, st.floats(-1, 1), st.floats(0, 50)), max_size=60)


@given(found=hits, nearest=st.integers(1, 60))
def test_scores_stay_between_zero_and_one(found: list[Hit], nearest: int) -> None:
    share = fuse.trust(found)
    assert fuse.LEAST_TRUST <= share <= fuse.LEAST_TRUST + fuse.MORE_TRUST
    assert all(0 <= score <= 1 for score in fuse.fused(found, share, nearest).values())
