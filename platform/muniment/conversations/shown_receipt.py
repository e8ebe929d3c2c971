"""A receipt as its page takes it: words for people, hashes for whoever compares."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from muniment.conversations.models import Mode, Turn, TurnState
from muniment.conversations.queries import SeenSource, sources_of
from muniment.conversations.receipts import receipt_of
from muniment.conversations.shown import page_name, place_names, source_url
from muniment.scope import Scope

TIMES: dict[str, str | Promise] = {
    "search": gettext_lazy("finding the passages"),
    "queue": gettext_lazy("waiting for the model"),
    "prompt": gettext_lazy("reading the passages"),
    "output": gettext_lazy("writing"),
    "first_token": gettext_lazy("question to first word"),
    "total": gettext_lazy("question to last word"),
}


@dataclass(frozen=True)
class Fact:
    """A line of the page; `code` where the value is for comparing."""

    name: str
    value: str
    code: bool = False


@dataclass(frozen=True)
class Read:
    """A passage that was found. `start` and `end` are None where the model was not given it."""

    n: int
    document_name: str
    page_label: str
    version: int | None
    sha256: str
    url: str
    start: int | None
    end: int | None


@dataclass(frozen=True)
class Receipt:
    question: str
    asked: datetime
    facts: list[Fact]
    passages: list[Read]
    times: list[tuple[str, float]]
    command: str


def shown_receipt(scope: Scope, turn: Turn) -> Receipt:
    """Of one's own answer. Raises `NotFound`, `NoReceipt`."""
    receipt = receipt_of(scope, turn.id)
    seen = {source.source.n: source for source in sources_of(scope, turn)}
    return Receipt(
        question=turn.question,
        asked=turn.created_at,
        facts=[*_asked(scope, turn), *_made(receipt), *_proof(receipt)],
        passages=[_read(turn, one, seen.get(one["rank"])) for one in receipt.get("passages", [])],
        times=[(str(words), turn.timings[name]) for name, words in TIMES.items() if name in turn.timings],
        command=f"manage.py receipt {turn.id} --out receipt.txt",
    )


def _asked(scope: Scope, turn: Turn) -> list[Fact]:
    return [
        Fact(_("Searched for"), turn.searched or turn.question),
        Fact(_("Searched in"), place_names(scope, [turn.conversation])[turn.conversation_id]),
        Fact(_("Answered"), str(Mode(turn.mode).label)),
        Fact(_("State"), str(TurnState(turn.state).label)),
    ]


def _made(receipt: dict[str, Any]) -> list[Fact]:
    params = receipt.get("params", {})
    facts = [
        Fact(_("Model"), receipt["model"]),
        Fact(_("Model file (SHA-256)"), receipt.get("llm_sha256", ""), code=True),
        Fact(_("Chat template (SHA-256)"), receipt.get("template_sha256", ""), code=True),
        Fact(_("Engine"), str(params.get("backend", "")), code=True),
        Fact(_("Context, in tokens"), str(params.get("n_ctx", ""))),
        Fact(_("Temperature and seed"), f"{params['temperature']} / {params['seed']}" if params else ""),
        Fact(_("Prompt template"), str(params.get("prompt_version", ""))),
        Fact(_("Tokens read and written"), _tokens(receipt)),
        Fact(_("Embedder (SHA-256)"), receipt.get("embed_model_sha256", ""), code=True),
        Fact(_("Reranker (SHA-256)"), receipt.get("rerank_model_sha256", ""), code=True),
        Fact(_("Generation of the index"), str(receipt.get("index_generation", ""))),
    ]
    return [fact for fact in facts if fact.value]


def _proof(receipt: dict[str, Any]) -> list[Fact]:
    return [
        Fact(_("Prompt, as committed to in the trail"), receipt["prompt_commit"], code=True),
        Fact(_("Answer (SHA-256)"), receipt["answer_sha256"], code=True),
    ]


def _tokens(receipt: dict[str, Any]) -> str:
    return f"{receipt['tokens_in']} / {receipt['tokens_out']}" if "tokens_in" in receipt else ""


def _read(turn: Turn, one: dict[str, Any], seen: SeenSource | None) -> Read:
    passage = seen.passage if seen else None
    return Read(
        n=one["rank"],
        document_name=passage.version.document.name if passage else "",
        page_label=page_name(passage, seen.page_label) if passage and seen else "",
        version=passage.version.number if passage else None,
        sha256=one["chunk_sha256"],
        url=source_url(turn, seen) if passage and seen else "",
        start=one.get("start"),
        end=one.get("end"),
    )
