"""What made an answer, as a signed file, and making it again from that: the same, or what is not.

Making an answer again reads the passages as they lie here now, with the rights of whoever asks for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.db import transaction

from muniment.audit import actions
from muniment.audit.keys import PublicKey, SigningKey
from muniment.audit.services import Thing, commitment, record
from muniment.conversations.models import Mode
from muniment.conversations.receipts import FORMAT, NoReceipt, receipt_of
from muniment.documents.models import Passage
from muniment.documents.queries import visible_documents
from muniment.scope import Scope
from workers.answer import quote
from workers.answer.pack import Excerpt
from workers.answer.prompt import PROMPT_VERSION, messages, prompt_text
from workers.answer.retrieve import Candidate
from workers.engines import Engine, EngineFacts, EngineUnavailable, Finished, Token


@dataclass(frozen=True)
class Replay:
    """`verdict` is identical, differs, environment or erased; the sentences say in what."""

    verdict: str
    sentences: list[str]
    answer: str = ""


def write(scope: Scope, turn_id: UUID, key: SigningKey) -> str:
    """The receipt as a signed note; that it was taken is in the trail. Raises `NotFound`, `NoReceipt`."""
    receipt = receipt_of(scope, turn_id)
    note = key.sign(json.dumps(receipt, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    sha256 = hashlib.sha256(note.encode()).hexdigest()
    with transaction.atomic():
        record(scope, actions.RECEIPT_TAKEN, Thing("turn", turn_id), details={"sha256": sha256})
    return note


def read(note: str, key: PublicKey) -> dict[str, Any]:
    """A receipt that this key signed. Raises `keys.BadNote`, `NoReceipt`."""
    receipt = json.loads(key.check(note))
    if receipt.get("format") != FORMAT:
        raise NoReceipt("This receipt is of another release. Replay it with that one.")
    return dict(receipt)


def replay(scope: Scope, engine: Engine, receipt: Mapping[str, Any]) -> Replay:
    """Make the answer again and compare. Raises `EngineUnavailable`."""
    found = _replayed(scope, engine, receipt)
    with transaction.atomic():
        record(
            scope,
            actions.ANSWER_REPLAYED,
            Thing("turn", receipt["turn"]),
            details={"verdict": found.verdict},
        )
    return found


def _replayed(scope: Scope, engine: Engine, receipt: Mapping[str, Any]) -> Replay:
    given = [one for one in receipt["passages"] if "start" in one]
    excerpts = _excerpts(scope, given)
    if len(excerpts) < len(given):
        gone = len(given) - len(excerpts)
        return Replay("erased", [f"{gone} of {len(given)} passages are gone, or not open to this person."])
    facts = engine.facts()
    other = _other_environment(receipt, facts)
    write = quote.messages if receipt["mode"] == Mode.QUOTE else messages
    prompt = write(receipt["question"], excerpts, receipt["question_before"])
    if commitment(bytes.fromhex(receipt["salt"]), prompt_text(prompt)) != receipt["prompt_commit"]:
        other.append("The prompt is another: a document was renamed, or this release words it otherwise.")
    answer = _again(engine, receipt, prompt, excerpts)
    if answer == receipt["answer"]:
        return Replay("environment" if other else "identical", other, answer)
    where = _where(engine, receipt["answer"], answer)
    return Replay("environment" if other else "differs", [*other, where], answer)


def _excerpts(scope: Scope, given: Sequence[Mapping[str, Any]]) -> list[Excerpt]:
    """As the model read them, in the order of the prompt, without those that are not what they were."""
    ids = [UUID(one["chunk_ref"]) for one in given]
    rows = Passage.objects.filter(pk__in=ids, version__document__in=visible_documents(scope))
    passages = {row.id: row for row in rows.select_related("version__document")}
    excerpts = []
    for one in given:
        passage = passages.get(UUID(one["chunk_ref"]))
        if passage is None or passage.sha256 != one["chunk_sha256"]:
            continue
        text = passage.text[one["start"] : one["end"]]
        candidate = Candidate(passage, 0.0, 0, 0, 0.0, 0.0)
        excerpts.append(Excerpt(one["rank"], candidate, text, text == passage.text))
    return excerpts


def _other_environment(receipt: Mapping[str, Any], facts: EngineFacts) -> list[str]:
    """What is not as it was, but for the passages."""
    params = receipt["params"]
    version = quote.PROMPT_VERSION if receipt["mode"] == Mode.QUOTE else PROMPT_VERSION
    pairs = {
        "model": (receipt["llm_sha256"], facts.model_sha256),
        "engine": (params["backend"], facts.build),
        "context": (params["n_ctx"], facts.context),
        "prompt": (params["prompt_version"], version),
    }
    # Receipts of earlier releases do not have it.
    if then := receipt.get("template_sha256"):
        pairs["chat template"] = (then, facts.template_sha256)
    other = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return [f"The {name} is another: {was} then, {now} now." for name, (was, now) in other.items()]


def _again(
    engine: Engine, receipt: Mapping[str, Any], prompt: list[dict[str, str]], excerpts: Sequence[Excerpt]
) -> str:
    """Without a tenant, so that nothing of earlier prompts is used."""
    params = receipt["params"]
    choice = quote.quotables(excerpts) if receipt["mode"] == Mode.QUOTE else []
    text, finished = "", False
    for event in engine.chat(
        prompt,
        max_tokens=params["max_tokens"],
        tenant="",
        conversation="",
        temperature=params["temperature"],
        seed=params["seed"],
        grammar=quote.grammar(len(choice)) if choice else "",
    ):
        if isinstance(event, Token):
            text += event.text
        finished = isinstance(event, Finished)
    if not finished:
        raise EngineUnavailable("The engine broke off.")
    return quote.quotation(quote.chosen(text, choice)).text if choice else text.strip()


def _where(engine: Engine, then: str, now: str) -> str:
    same = "".join(a for a, _b in takewhile(lambda pair: pair[0] == pair[1], zip(then, now, strict=False)))
    (tokens,) = engine.tokenize([same]) if same else [0]
    return f"The answer differs from token {tokens + 1} on."
