"""Each sentence of an answer is held against the passages that the model read, with the default embedder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.conversations.statements import Statement, Verdict, cited, read, stored
from muniment.documents.models import Document, Passage, Version
from workers.answer.pack import Excerpt
from workers.answer.retrieve import Candidate
from workers.answer.support import BY_WORDS, KNOWN, Support, Weights
from workers.engines import Embed
from workers.engines.catalogue import model
from workers.engines.embed import QuestionEmbedder

SUPPORTED, WEAK, UNSUPPORTED = Verdict.SUPPORTED, Verdict.WEAK, Verdict.UNSUPPORTED
(MINILM,) = KNOWN.values()
PASSAGES = [
    "The lease of the old mill ends in May 2031. Either side may end it with a notice of six months.",
    "The controller notifies the supervisory authority of a breach within 72 hours. "
    "Nobody may enter the archive without the warden.",
    "Capital expenditure (millions) | 2018 | 1,577 | 2017 | 1,373",
    "Der Mietvertrag der Mühle endet im Mai 2031. Die Kündigungsfrist beträgt sechs Monate.",
]
Ask = Callable[[str], list[Statement]]


def excerpts(texts: Sequence[str], languages: Sequence[str] = ()) -> list[Excerpt]:
    made = []
    for n, text in enumerate(texts, 1):
        document = Document(id=uuid4(), name=f"{n}.txt", title="Rules of Arnum")
        version = Version(id=uuid4(), document=document, language=dict(enumerate(languages, 1)).get(n, "en"))
        passage = Passage(id=uuid4(), version=version, text=text, heading="One")
        made.append(Excerpt(n, Candidate(passage, 1.0, 0, len(text), 0.8, 0.5), text, True))
    return made


@pytest.fixture(scope="module")
def embed() -> Embed:
    return QuestionEmbedder(model("all-minilm-l6-v2").place).encode


@pytest.fixture(scope="module")
def ask(embed: Embed) -> Ask:
    return Support("", excerpts(PASSAGES, ["en", "en", "en", "de"]), embed, MINILM).statements


@pytest.mark.parametrize(
    ("answer", "verdict", "source"),
    [
        ("The lease ends in May 2031 [2].", SUPPORTED, 1),
        ("A breach has to be notified to the supervisory authority within 72 hours.", SUPPORTED, 2),
        ("Capital expenditure was $1,577 million in 2018.", SUPPORTED, 3),
        ("Der Vertrag der Mühle endet im Mai 2031.", SUPPORTED, 4),
        ("The lease of the mill of Arnum ends in May 2031.", SUPPORTED, 1),
    ],
)
def test_a_sentence_that_a_passage_says_is_supported_by_that_one_whatever_the_model_cites(
    ask: Ask, answer: str, verdict: Verdict, source: int
) -> None:
    (found,) = ask(answer)
    assert (found.verdict, found.sources[:1]) == (verdict, (source,)), found


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        ("The lease of the old mill ends in May 2032.", UNSUPPORTED, "number"),
        ("The controller notifies the authority of a breach within 72 days.", UNSUPPORTED, "unit"),
        ("The controller notifies the authority Bafin of a breach within 72 hours.", WEAK, "name"),
        ("The lease of the old mill, form KS-4471, ends in May 2031.", UNSUPPORTED, "code"),
        ("Anybody may enter the archive, with the warden.", WEAK, "negation"),
        ("The moon is a satellite that circles the earth.", UNSUPPORTED, ""),
    ],
)
def test_what_a_passage_does_not_say_is_marked_with_the_reason(
    ask: Ask, answer: str, verdict: Verdict, reason: str
) -> None:
    (found,) = ask(answer)
    assert (found.verdict, found.reason) == (verdict, reason), found


def test_each_sentence_is_judged_by_itself_where_it_stands(ask: Ask) -> None:
    answer = "The lease ends in May 2031 [1]. The moon is made of cheese [2].\n\n- **Notice** is six months."
    found = ask(answer)
    assert [answer[one.start : one.end] for one in found] == [
        "The lease ends in May 2031 [1].",
        "The moon is made of cheese [2].",
        "- **Notice** is six months.",
    ]
    assert [one.verdict for one in found][:2] == [SUPPORTED, UNSUPPORTED]
    assert set(cited(found)) <= {1, 2, 3, 4}


def test_a_sentence_may_rest_on_two_passages_together(embed: Embed) -> None:
    texts = ["The pump of the mill weighs 40 kg.", "The pump of the mill was bought in 1987."]
    (found,) = Support("", excerpts(texts), embed, MINILM).statements(
        "The pump of the mill, of 40 kg, was bought in 1987."
    )
    assert (found.verdict, set(found.sources)) == (SUPPORTED, {1, 2})


def test_the_question_proves_its_numbers_but_no_names(embed: Embed) -> None:
    texts = excerpts(["The doors of the mill are closed at night."])
    support = Support("Were the doors of Bergen closed in 1987?", texts, embed, MINILM)
    assert support.statements("The doors of the mill were closed at night in 1987.")[0].verdict == SUPPORTED
    found = support.statements("The doors of the mill of Bergen are closed at night.")[0]
    assert (found.verdict, found.reason) == (WEAK, "name")


def test_without_passages_nothing_is_supported(embed: Embed) -> None:
    assert [one.verdict for one in Support("", [], embed, MINILM).statements("It ends. Soon.")] == [
        UNSUPPORTED
    ] * 2


def test_words_alone_decide_for_an_embedder_that_nobody_measured() -> None:
    support = Support("", excerpts(PASSAGES), lambda texts: [[1.0, 0.0] for _ in texts], BY_WORDS)
    assert support.statements("The lease of the old mill ends in May 2031.")[0].verdict == SUPPORTED
    assert support.statements("A pump is oiled on Tuesday.")[0].verdict == UNSUPPORTED


@pytest.mark.parametrize("weights", [MINILM, BY_WORDS])
def test_more_likeness_is_never_less_probable(weights: Weights) -> None:
    assert weights.probability(0.9, 0.9) >= weights.probability(0.5, 0.9) >= weights.probability(0.5, 0.2)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_words_of_a_model_are_judged_within_the_answer(answer: str) -> None:
    support = Support("", excerpts(PASSAGES), lambda texts: [[1.0, 0.0] for _ in texts], BY_WORDS)
    found = support.statements(answer)
    assert all(0 <= one.start < one.end <= len(answer) for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))
    assert set(cited(found)) <= {1, 2, 3, 4}
    assert read(stored(found)) == found


def test_a_form_of_a_later_release_is_not_guessed_at() -> None:
    assert read({"v": 2, "statements": [{"odd": True}]}) == read({}) == []
