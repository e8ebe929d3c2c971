"""Asks every question of a data set for an answer, and measures what is said.

As people ask, with or without words of the model's own; or in `plain` mode, the yardstick: the same model
over the best five fixed windows, with the prompt that everybody writes, and nothing judged or checked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from django.conf import settings

from muniment.conversations.models import TurnState
from muniment.conversations.statements import Statement, cited
from muniment.registry.services import see_engine
from workers import generations
from workers.answer import answerable, ground, quote
from workers.answer.facts import Facts, Number
from workers.answer.prompt import CAREFUL_BUDGET, Prompt, fit, messages
from workers.answer.retrieve import Candidate, reranking, retrieve
from workers.answer.support import Support, weights_of
from workers.engines import Engine, EngineFacts, EngineUnavailable, PromptTooLong, Token, connect
from workers.evaluate import metrics
from workers.evaluate.baselines import ask_plain
from workers.evaluate.dataset import Evidence, Query
from workers.evaluate.run import Corpus, Found

ANSWER, QUOTE, PLAIN = "answer", "quote", "plain"
MODES = (ANSWER, QUOTE, PLAIN)
PLAIN_WINDOWS = 5
PLAIN_SYSTEM = (
    "Answer the question using the context. Cite the context by its numbers, like [1]. "
    "If the context does not contain the answer, say that you don't know."
)
# Figures differ by no more where they are the same.
SAME_FIGURE = 0.01
SAY_SECONDS = 30
_MARK = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")

Say = Callable[[str], None]


@dataclass(frozen=True)
class Answered:
    """What was said to a question, on which passages it rests by its own account, and after how long.

    `seconds` are those to the sources, to the first token and to the end.
    """

    query: Query
    text: str
    state: str
    citations: list[Found]
    seconds: dict[str, float]
    prompt_tokens: int = 0
    statements: tuple[Statement, ...] = ()

    @property
    def abstained(self) -> bool:
        return self.state == TurnState.NOT_IN_DOCUMENTS


class Answerer(Protocol):
    def __call__(self, query: Query) -> Answered: ...


@dataclass(frozen=True)
class Reply:
    text: str
    first_token: float


@dataclass(frozen=True)
class _Said:
    text: str
    state: TurnState
    statements: list[Statement]
    first_token: float


def answer_all(
    corpus: Corpus,
    queries: Sequence[Query],
    mode: str = ANSWER,
    prompt_tokens: int | None = None,
    language: str = "english",
    say: Say = lambda line: None,
) -> list[Answered]:
    """Every question, one after the other. `prompt_tokens` is the budget of the whole prompt, None the
    machine's own.

    Raises `DatasetError`, `EngineUnavailable`, `IndexUnavailable`.
    """
    engine = connect.engine()
    facts = engine.facts()
    budget = prompt_tokens or see_engine(facts.model, vars(facts)).prompt_budget or CAREFUL_BUDGET
    say(f"{facts.model}, mode {mode}, prompts of {budget} tokens at most")
    answerer: Answerer
    if mode == PLAIN:
        answerer = _Plain(engine, facts, budget, corpus, queries, language)
    else:
        answerer = _Product(engine, facts, budget, corpus, mode == QUOTE)
    answered, said = [], time.monotonic()
    for number, query in enumerate(queries, 1):
        answered.append(answerer(query))
        if time.monotonic() - said > SAY_SECONDS or number == len(queries):
            said = time.monotonic()
            say(f"{number} of {len(queries)} questions answered")
    return answered


class _Product:
    """As `answer.pipeline` does it, but for the rows of a conversation."""

    def __init__(
        self, engine: Engine, facts: EngineFacts, budget: int, corpus: Corpus, quoting: bool
    ) -> None:
        self._engine, self._facts, self._budget, self._corpus = engine, facts, budget, corpus
        self._quoting = quoting
        self._generation = generations.serving()
        self._index = generations.index_of(self._generation)
        self._embed = generations.embed_with(engine, self._generation)
        self._judge = answerable.weights_of(self._generation.embedder_sha256)

    def __call__(self, query: Query) -> Answered:
        begun = time.perf_counter()
        candidates = retrieve(
            self._corpus.scope,
            self._embed,
            self._index,
            query.question,
            settings.PASSAGES_SHOWN,
            [self._corpus.library.id],
            self._corpus.documents(query),
            reranking(self._engine, self._facts),
        )
        seconds = {"sources": time.perf_counter() - begun}
        if not self._judge.hold(answerable.evidence_of(query.question, candidates)):
            return Answered(
                query, "", TurnState.NOT_IN_DOCUMENTS, [], seconds | {"total": seconds["sources"]}
            )
        try:
            prompt = fit(
                self._engine,
                self._facts.context,
                self._budget,
                query.question,
                candidates,
                write=quote.messages if self._quoting else messages,
            )
        except PromptTooLong:
            return Answered(query, "", TurnState.FAILED, [], seconds)
        reply = self._quote(prompt) if self._quoting else self._answer(query, prompt)
        sources = [self._found(candidates[n - 1]) for n in cited(reply.statements)]
        seconds["first_token"] = seconds["sources"] + reply.first_token
        seconds["total"] = time.perf_counter() - begun
        checked = tuple(reply.statements)
        return Answered(query, reply.text, reply.state, sources, seconds, prompt.tokens, checked)

    def _answer(self, query: Query, prompt: Prompt) -> _Said:
        reply = _reply(self._engine, prompt.messages, self._corpus)
        weights = weights_of(self._generation.embedder_sha256)
        support = Support(query.question, prompt.packed.excerpts, self._embed, weights)
        statements = support.statements(reply.text)
        return _Said(reply.text, ground.verdict(reply.text, statements), statements, reply.first_token)

    def _quote(self, prompt: Prompt) -> _Said:
        choice = quote.quotables(prompt.packed.excerpts)
        if not choice:
            return _Said("", TurnState.NOT_IN_DOCUMENTS, [], 0.0)
        reply = _reply(self._engine, prompt.messages, self._corpus, quote.grammar(len(choice)))
        said = quote.quotation(quote.chosen(reply.text, choice))
        state = TurnState.ANSWERED if said.statements else TurnState.NOT_IN_DOCUMENTS
        return _Said(said.text, state, said.statements, reply.first_token)

    def _found(self, candidate: Candidate) -> Found:
        passage = candidate.passage
        document = self._corpus.ids[passage.version.document_id]
        return Found(document, passage.page, candidate.score, passage.text)


class _Plain:
    def __init__(
        self,
        engine: Engine,
        facts: EngineFacts,
        budget: int,
        corpus: Corpus,
        queries: Sequence[Query],
        language: str,
    ) -> None:
        self._engine, self._corpus = engine, corpus
        self._room = min(budget, facts.context - settings.ANSWER_TOKENS)
        asked = ask_plain(corpus, queries, language)
        self._found = {one.query.id: one.found[:PLAIN_WINDOWS] for one in asked}

    def __call__(self, query: Query) -> Answered:
        begun = time.perf_counter()
        found = self._found[query.id]
        prompt, size = self._prompt(query.question, found)
        while size > self._room and len(found) > 1:
            found = found[:-1]
            prompt, size = self._prompt(query.question, found)
        if size > self._room:
            return Answered(query, "", TurnState.FAILED, [], {})
        reply = _reply(self._engine, prompt, self._corpus)
        state = TurnState.NOT_IN_DOCUMENTS if ground.refuses(reply.text) else TurnState.ANSWERED
        sources = [found[n - 1] for n in _marks(reply.text) if 1 <= n <= len(found)]
        seconds = {"sources": 0.0, "first_token": reply.first_token, "total": time.perf_counter() - begun}
        return Answered(query, reply.text, state, sources, seconds, size)

    def _prompt(self, question: str, found: Sequence[Found]) -> tuple[list[dict[str, str]], int]:
        context = "\n\n".join(f"[{n}] {one.text}" for n, one in enumerate(found, 1))
        prompt = [
            {"role": "system", "content": PLAIN_SYSTEM},
            {"role": "user", "content": f"Context:\n{context}\n\nQuestion: {question}"},
        ]
        return prompt, self._engine.prompt_tokens(prompt)


def _reply(engine: Engine, prompt: list[dict[str, str]], corpus: Corpus, grammar: str = "") -> Reply:
    begun, text, first = time.perf_counter(), "", 0.0
    events = engine.chat(
        prompt,
        max_tokens=settings.ANSWER_TOKENS,
        grammar=grammar,
        tenant=str(corpus.scope.tenant),
        conversation="",
    )
    finished = False
    for event in events:
        if isinstance(event, Token):
            first = first or time.perf_counter() - begun
            text += event.text
        finished = not isinstance(event, Token)
    if not finished:
        raise EngineUnavailable("The engine broke off.")
    return Reply(text.strip(), first)


def measure(answered: Answered) -> dict[str, float]:
    """What can be said of one answer by what is known to be right.

    refused: of a question without an answer, that it was. answered: of one with an answer, that it was not
    refused. word-f1: words in common with the right answer; figures: the share of its figures that are said.
    Both are 0 where it was refused. citations: the share of what an answer rests on that holds the evidence.
    """
    query = answered.query
    if not query.answerable:
        return {"refused": float(answered.abstained)}
    values = {"answered": float(not answered.abstained)}
    said = "" if answered.abstained else _MARK.sub("", answered.text)
    if query.answer:
        values["word-f1"] = metrics.word_f1(said, query.answer)
        if (share := _figures(query, said)) is not None:
            values["figures"] = share
    if not answered.abstained and query.evidence and answered.citations:
        held = [any(_holds(one, piece) for piece in query.evidence) for one in answered.citations]
        values["citations"] = sum(held) / len(held)
    return values


def _figures(query: Query, said: str) -> float | None:
    """The share of the right answer's figures that are said; None where it has none but the question's."""
    asked, found = Facts(query.question).numbers, Facts(said).numbers
    right = [one for one in Facts(query.answer).numbers if not any(_same(one, other) for other in asked)]
    return fmean(any(_same(one, other) for other in found) for one in right) if right else None


def _same(one: Number, other: Number) -> bool:
    """Within one in a hundred, with or without the power of ten that a word names."""
    return any(abs(a - b) <= SAME_FIGURE * abs(a) for a in _readings(one) for b in _readings(other))


def _readings(number: Number) -> set[float]:
    return {float(value.scaleb(scale)) for value in number.values for scale in (0, number.scale)}


def _holds(found: Found, piece: Evidence) -> bool:
    if found.document != piece.document:
        return False
    if piece.text:
        return metrics.meets(found.text, piece.text)
    return piece.page is None or piece.page == found.page


def _marks(text: str) -> list[int]:
    """Numbers that the model cites, in order of first use."""
    return list(dict.fromkeys(int(n) for mark in _MARK.findall(text) for n in mark.split(",")))
