"""A receipt names what made an answer; made again the answer is the same, or it is said what is not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from muniment.audit.keys import BadNote, SigningKey, signing_key
from muniment.conversations import services
from muniment.conversations.models import Mode, Source, Turn, TurnState
from muniment.conversations.receipts import NoReceipt, receipt_of
from muniment.documents.models import Document, Passage
from muniment.pages.errors import NotFound
from muniment.scope import Scope
from tests.factories import make_document, scope_for
from tests.house import House, events
from workers.answer import quote, receipts
from workers.answer.pack import Excerpt
from workers.answer.prompt import PROMPT_VERSION, messages, prompt_text
from workers.answer.retrieve import Candidate
from workers.engines import ChatEvent, Engine, EngineFacts, Finished, Token

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("broker")]

QUESTION = "When does the lease end?"
TEXT = "The mill is old. The lease ends in May 2031. Nobody may sublet it."
FACTS = EngineFacts("small", "ab" * 32, 2048, "minilm", "cd" * 32, 384, 256, "llama.cpp 1")


@dataclass
class Machine:
    """An engine that says always the same, and keeps what it was asked."""

    says: str = "It ends in May 2031 [1]."
    facts_now: EngineFacts = FACTS
    asked: list[dict[str, Any]] = field(default_factory=list)

    def facts(self) -> EngineFacts:
        return self.facts_now

    def tokenize(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def chat(self, prompt: Sequence[dict[str, str]], **given: Any) -> Iterator[ChatEvent]:
        self.asked.append({"prompt": list(prompt), **given})
        yield Token(self.says)
        yield Finished("stop", 10, 10, 0.0, 0.1, 0.1)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return signing_key(tmp_path)


@pytest.fixture
def scope(house: House) -> Scope:
    make_document(house.library, "lease.txt", [TEXT])
    return scope_for(house.reader)


def answered(scope: Scope, mode: Mode = Mode.ANSWER, answer: str = "It ends in May 2031 [1].") -> Turn:
    """As the pipeline leaves it; the model read two sentences of the only passage."""
    turn = services.ask(scope, QUESTION, mode=mode)
    passage = Passage.objects.get(tenant=scope.tenant)
    read = TEXT[: TEXT.index(" Nobody")]
    services.begin_search(turn)
    row = {"passage": passage.id, "document": passage.version.document_id, "version": passage.version_id}
    source = Source(tenant=turn.tenant, turn=turn, n=1, page=1, score=1, best_start=0, best_end=9, **row)
    services.store_sources(turn, QUESTION, [source], {})
    excerpt = Excerpt(1, Candidate(passage, 1.0, 0, 9, 0.8, 0.5), read, False)
    write = quote.messages if mode == Mode.QUOTE else messages
    services.begin_answer(scope, turn, "small", prompt_text(write(QUESTION, [excerpt], "")), [1], 0)
    receipt = {
        "llm_sha256": FACTS.model_sha256,
        "params": {
            "temperature": 0,
            "seed": 0,
            "max_tokens": 40,
            "n_ctx": FACTS.context,
            "backend": FACTS.build,
            "prompt_version": PROMPT_VERSION,
        },
        "passages": [
            {
                "chunk_ref": str(passage.id),
                "chunk_sha256": passage.sha256,
                "rank": 1,
                "start": 0,
                "end": len(read),
            }
        ],
    }
    services.end_answer(scope, turn, TurnState.ANSWERED, answer, [], {}, receipt)
    return turn


def replayed(scope: Scope, turn: Turn, machine: Machine) -> receipts.Replay:
    return receipts.replay(scope, cast(Engine, machine), receipt_of(scope, turn.id))


def test_the_same_prompt_is_asked_with_the_same_parameters_and_nothing_of_earlier_ones(scope: Scope) -> None:
    machine = Machine()
    found = replayed(scope, answered(scope), machine)
    assert (found.verdict, found.sentences) == ("identical", [])
    (asked,) = machine.asked
    assert TEXT[:44] in asked["prompt"][1]["content"] and "sublet" not in asked["prompt"][1]["content"]
    assert (asked["temperature"], asked["seed"], asked["max_tokens"], asked["tenant"]) == (0, 0, 40, "")
    assert [event["details"]["verdict"] for event in events("answer.replayed")] == ["identical"]


def test_another_answer_differs_from_a_token_on(scope: Scope) -> None:
    found = replayed(scope, answered(scope), Machine("It ends in June 2031 [1]."))
    assert (found.verdict, found.sentences) == ("differs", ["The answer differs from token 4 on."])


def test_a_quotation_is_chosen_again(scope: Scope) -> None:
    turn = answered(scope, Mode.QUOTE, "The lease ends in May 2031.")
    machine = Machine("2")
    assert replayed(scope, turn, machine).verdict == "identical"
    assert machine.asked[0]["grammar"] == quote.grammar(2)
    assert replayed(scope, turn, Machine("1")).verdict == "differs"


def test_another_model_or_engine_is_said_whatever_the_answer(scope: Scope) -> None:
    turn = answered(scope)
    other = EngineFacts(**{**vars(FACTS), "model_sha256": "ef" * 32, "build": "llama.cpp 2"})
    found = replayed(scope, turn, Machine(facts_now=other))
    assert found.verdict == "environment"
    assert [sentence.split()[1] for sentence in found.sentences] == ["model", "engine"]


def test_another_chat_template_is_said_where_the_receipt_knows_its_own(scope: Scope) -> None:
    receipt = receipt_of(scope, answered(scope).id)
    machine = Machine(facts_now=replace(FACTS, template_sha256="12" * 32))
    assert receipts.replay(scope, cast(Engine, machine), receipt).verdict == "identical", (
        "of an earlier release"
    )
    receipt["template_sha256"] = "12" * 32
    assert receipts.replay(scope, cast(Engine, machine), receipt).verdict == "identical"
    receipt["template_sha256"] = "34" * 32
    found = receipts.replay(scope, cast(Engine, machine), receipt)
    assert found.sentences == [f"The chat template is another: {'34' * 32} then, {'12' * 32} now."]


def test_a_renamed_document_makes_another_prompt(scope: Scope) -> None:
    turn = answered(scope)
    Document.objects.filter(tenant=scope.tenant).update(name="rental.txt", title="Rental")
    found = replayed(scope, turn, Machine())
    assert found.verdict == "environment" and "The prompt is another" in found.sentences[0]


def test_what_is_gone_or_closed_cannot_be_made_again(scope: Scope, house: House) -> None:
    receipt = receipt_of(scope, answered(scope).id)
    machine = Machine()
    closed = Scope(tenant=scope.tenant, person=scope.person)
    assert receipts.replay(closed, cast(Engine, machine), receipt).verdict == "erased"
    Passage.objects.filter(tenant=scope.tenant).update(sha256="00" * 32)
    found = receipts.replay(scope, cast(Engine, machine), receipt)
    assert found.sentences == ["1 of 1 passages are gone, or not open to this person."]
    assert not machine.asked


def test_a_receipt_is_its_askers_alone(scope: Scope, house: House) -> None:
    turn = answered(scope)
    for person in (house.clerk, house.curator):
        with pytest.raises(NotFound):
            receipt_of(scope_for(person), turn.id)
    with pytest.raises(NotFound):
        receipt_of(scope, uuid4())


def test_a_question_that_no_model_answered_has_none(scope: Scope) -> None:
    turn = services.ask(scope, QUESTION)
    services.begin_search(turn)
    services.end_answer(scope, turn, TurnState.NOT_IN_DOCUMENTS, "")
    with pytest.raises(NoReceipt):
        receipt_of(scope, turn.id)


def test_it_is_signed_and_refused_where_a_letter_was_changed(scope: Scope, key: SigningKey) -> None:
    turn = answered(scope)
    note = receipts.write(scope, turn.id, key)
    assert receipts.read(note, key.public)["answer"] == turn.answer
    (event,) = events("answer.receipt_taken")
    assert event["details"]["sha256"] == hashlib.sha256(note.encode()).hexdigest()
    for then, now in (("2031", "2032"), ('"seed": 0', '"seed": 1'), (FACTS.build, "llama.cpp 9")):
        assert then in note
        with pytest.raises(BadNote):
            receipts.read(note.replace(then, now), key.public)


def test_one_of_a_later_release_is_not_guessed_at(scope: Scope, key: SigningKey) -> None:
    later = key.sign(json.dumps({"format": 2}) + "\n")
    with pytest.raises(NoReceipt, match="another release"):
        receipts.read(later, key.public)
