"""A question's way: retrieve, show the sources, pack, prompt, generate, check, store.

Everything a person sees on the way goes to the turn's live stream; what lasts goes to the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import redis
from django.conf import settings
from django.db import connection

from muniment.accounts.models import Person
from muniment.accounts.services import scope_of_person
from muniment.conversations import services as conversations
from muniment.conversations.models import OPEN_TURNS, Mode, Source, Turn, TurnState
from muniment.conversations.statements import Statement
from muniment.documents.models import Generation
from muniment.jobs.broker import client
from muniment.pages.errors import Conflict
from muniment.registry.models import Engine as EngineRow
from muniment.registry.services import see_engine
from muniment.scope import Origin, Scope
from muniment.tenancy.services import system_scope
from workers import generations
from workers.answer import answerable, ground, quote
from workers.answer.pack import Excerpt
from workers.answer.prompt import PROMPT_VERSION, Prompt, fit, messages, prompt_text
from workers.answer.retrieve import Candidate, reranking, retrieve
from workers.answer.support import Support, weights_of
from workers.engines import (
    Engine,
    EngineFacts,
    EngineUnavailable,
    Finished,
    IndexUnavailable,
    PromptTooLong,
    Token,
    Waiting,
    connect,
)
from workers.leases import Lease, LeaseLost

log = logging.getLogger(__name__)

# Parts that are away are waited for this often; then the person is told.
MOST_ATTEMPTS = 3
# Words below which a follow-up question is too short to be found by itself.
SHORT_QUESTION_WORDS = 5
# Together with one piece of a prompt this stays under the second in which Stop is promised to work.
STOP_POLL_SECONDS = 0.15


@dataclass(frozen=True)
class Retrieved:
    """What was found, in which generation of the index, and the hash of the cross-encoder that sorted it."""

    generation: Generation
    candidates: list[Candidate]
    reranker_sha256: str


@dataclass
class Progress:
    """What has been generated so far, and when."""

    begun: float = field(default_factory=time.monotonic)
    text: str = ""
    first_token: float | None = None
    finished: Finished | None = None


def answer(lease: Lease) -> None:
    """Bring one turn to its end. Raises `LeaseLost`, `EngineUnavailable`, `IndexUnavailable`."""
    job = lease.job
    turn = Turn.objects.select_related("conversation").filter(pk=job.subject, tenant=job.tenant).first()
    if turn is None or turn.state not in OPEN_TURNS:
        return
    scope = _scope_of_asker(turn, job.request_id)
    if scope is None:
        _fail(system_scope(job.tenant, job.request_id), turn, "person_gone")
        return
    if job.attempt > MOST_ATTEMPTS:
        _fail(scope, turn, "unavailable")
        return
    try:
        _answer(lease, scope, turn)
    except Conflict as error:
        # Stopped, deleted or answered by somebody else meanwhile: the turn's state says so.
        raise LeaseLost from error
    except (EngineUnavailable, IndexUnavailable):
        if job.attempt >= MOST_ATTEMPTS:
            _fail(scope, turn, "unavailable")
            return
        conversations.tell(turn, "retrying", {})
        raise
    except PromptTooLong:
        _fail(scope, turn, "prompt_too_long")


def _scope_of_asker(turn: Turn, request_id: str) -> Scope | None:
    """Made from the database as it is now, never from a message."""
    person = Person.objects.filter(pk=turn.conversation.person, is_active=True).first()
    return scope_of_person(person, Origin(kind="person", request_id=request_id)) if person else None


def _fail(scope: Scope, turn: Turn, code: str) -> None:
    conversations.end_answer(scope, turn, TurnState.FAILED, turn.answer, error_code=code)
    conversations.tell(turn, "failed", {"code": code})


def _answer(lease: Lease, scope: Scope, turn: Turn) -> None:
    engine = connect.engine()
    facts = engine.facts()
    row = see_engine(facts.model, vars(facts))
    conversations.begin_search(turn)
    begun = time.monotonic()
    found = _search(scope, engine, facts, turn)
    timings = {"search": round(time.monotonic() - begun, 3)}
    conversations.store_sources(turn, turn.question, _sources(turn, found.candidates), timings)
    conversations.tell(turn, "sources", {"count": len(found.candidates)})
    lease.check()
    evidence = answerable.evidence_of(turn.question, found.candidates)
    if not answerable.weights_of(found.generation.embedder_sha256).hold(evidence):
        _end(scope, turn, TurnState.NOT_IN_DOCUMENTS, "", [], {}, _receipt(facts, turn, found))
        return
    write = quote.messages if turn.mode == Mode.QUOTE else messages
    before = _before(turn)
    prompt = fit(engine, facts.context, row.prompt_budget, turn.question, found.candidates, before, write)
    _generate(lease, scope, turn, engine, facts, row, found, prompt)


def _search(scope: Scope, engine: Engine, facts: EngineFacts, turn: Turn) -> Retrieved:
    conversation, generation = turn.conversation, generations.serving()
    rescore = reranking(engine, facts)
    candidates = retrieve(
        scope,
        generations.embed_with(engine, generation),
        generations.index_of(generation),
        _searched(turn),
        settings.PASSAGES_SHOWN,
        [UUID(library) for library in conversation.libraries] or None,
        [UUID(document) for document in conversation.documents] or None,
        rescore,
    )
    return Retrieved(generation, candidates, facts.reranker_sha256 if rescore else "")


def _before(turn: Turn) -> str:
    earlier = turn.conversation.turns.filter(ordinal__lt=turn.ordinal).order_by("-ordinal").first()
    return earlier.question[:500] if earlier else ""


def _searched(turn: Turn) -> str:
    """A short follow-up ("and for nights?") is looked for together with the question before it."""
    short = len(turn.question.split()) < SHORT_QUESTION_WORDS
    return f"{_before(turn)} {turn.question}".strip() if short else turn.question


def _sources(turn: Turn, candidates: list[Candidate]) -> list[Source]:
    return [
        Source(
            tenant=turn.tenant,
            turn=turn,
            n=n,
            passage=candidate.passage.id,
            document=candidate.passage.version.document_id,
            version=candidate.passage.version_id,
            page=candidate.passage.page,
            score=candidate.score,
            best_start=candidate.best_start,
            best_end=candidate.best_end,
            alike=[str(passage.id) for passage in candidate.alike],
        )
        for n, candidate in enumerate(candidates, start=1)
    ]


def _generate(
    lease: Lease,
    scope: Scope,
    turn: Turn,
    engine: Engine,
    facts: EngineFacts,
    row: EngineRow,
    found: Retrieved,
    prompt: Prompt,
) -> None:
    choice = quote.quotables(prompt.packed.excerpts) if turn.mode == Mode.QUOTE else []
    if turn.mode == Mode.QUOTE and not choice:
        _end(scope, turn, TurnState.NOT_IN_DOCUMENTS, "", [], {}, _receipt(facts, turn, found))
        return
    text = prompt_text(prompt.messages)
    given = [excerpt.n for excerpt in prompt.packed.excerpts]
    conversations.begin_answer(scope, turn, facts.model, text, given, prompt.packed.left_out)
    seconds = round(prompt.tokens / row.prompt_speed, 1) if row.prompt_speed else None
    conversations.tell(turn, "reading", {"tokens": prompt.tokens, "seconds": seconds})
    progress = Progress()
    with _stop_watch(lease, turn) as stop:
        _stream(turn, engine, prompt.messages, choice, stop, progress)
    lease.check()
    if turn.mode == Mode.QUOTE:
        _finish_quotation(scope, turn, facts, found, prompt, choice, progress)
        return
    support = Support(
        turn.question,
        prompt.packed.excerpts,
        generations.embed_with(engine, found.generation),
        weights_of(found.generation.embedder_sha256),
    )
    _finish(scope, turn, facts, found, prompt, support, progress)


def _stream(
    turn: Turn,
    engine: Engine,
    prompt: list[dict[str, str]],
    choice: Sequence[quote.Quotable],
    stop: threading.Event,
    progress: Progress,
) -> None:
    """With a `choice` the model writes numbers, which are nothing to be shown."""
    events = engine.chat(
        prompt,
        max_tokens=quote.MOST_TOKENS if choice else settings.ANSWER_TOKENS,
        grammar=quote.grammar(len(choice)) if choice else "",
        tenant=str(turn.tenant),
        conversation=str(turn.conversation_id),
        stop=stop,
    )
    for event in events:
        if isinstance(event, Waiting):
            conversations.tell(turn, "waiting", {"position": event.position})
        elif isinstance(event, Token):
            if progress.first_token is None:
                progress.first_token = time.monotonic() - progress.begun
            progress.text += event.text
            if not choice:
                conversations.tell(turn, "token", {"text": event.text})
        else:
            progress.finished = event


@contextmanager
def _stop_watch(lease: Lease, turn: Turn) -> Iterator[threading.Event]:
    """An event that is set soon after the person stopped, or the lease was lost.

    The engine may read a long prompt in silence, so the lease is kept from here meanwhile; a silent engine is
    noticed by its client's own time limit.
    """
    stop, over = threading.Event(), threading.Event()

    def watch() -> None:
        key = conversations.stop_key(turn)
        try:
            while not over.wait(STOP_POLL_SECONDS) and not stop.is_set():
                lease.beat()
                if _asked_to_stop(key):
                    stop.set()
        except LeaseLost:
            stop.set()
        finally:
            connection.close()

    watcher = threading.Thread(target=watch, name="stop-watch", daemon=True)
    watcher.start()
    try:
        yield stop
    finally:
        over.set()
        watcher.join()


def _asked_to_stop(key: str) -> bool:
    try:
        return bool(client().exists(key))
    except redis.RedisError:
        log.warning("stop.unheard")
        return False


def _finish(
    scope: Scope,
    turn: Turn,
    facts: EngineFacts,
    found: Retrieved,
    prompt: Prompt,
    support: Support,
    progress: Progress,
) -> None:
    finished = _finished(progress)
    text = progress.text.strip()
    begun = time.monotonic()
    statements = support.statements(text)
    state = TurnState.STOPPED if finished.reason == "cancelled" else ground.verdict(text, statements)
    timings = {"check": round(time.monotonic() - begun, 3)} | _timings(progress, finished)
    receipt = _receipt(facts, turn, found, finished, prompt.packed.excerpts)
    _end(scope, turn, state, text, statements, timings, receipt)


def _finish_quotation(
    scope: Scope,
    turn: Turn,
    facts: EngineFacts,
    found: Retrieved,
    prompt: Prompt,
    choice: Sequence[quote.Quotable],
    progress: Progress,
) -> None:
    finished = _finished(progress)
    stopped = finished.reason == "cancelled"
    quoted = [] if stopped else quote.chosen(progress.text, choice)
    # The first of a passage's sentences is the one that its citation opens.
    conversations.mark_quoted(turn, {one.excerpt.n: (one.start, one.end) for one in reversed(quoted)})
    answer = quote.quotation(quoted)
    ended = TurnState.ANSWERED if quoted else TurnState.NOT_IN_DOCUMENTS
    state = TurnState.STOPPED if stopped else ended
    receipt = _receipt(facts, turn, found, finished, prompt.packed.excerpts)
    _end(scope, turn, state, answer.text, answer.statements, _timings(progress, finished), receipt)


def _finished(progress: Progress) -> Finished:
    if progress.finished is None:
        raise EngineUnavailable("The engine broke off.")
    return progress.finished


def _timings(progress: Progress, finished: Finished) -> dict[str, float]:
    return {
        "queue": round(finished.queued_s, 3),
        "prompt": round(finished.prompt_s, 3),
        "output": round(finished.output_s, 3),
        "first_token": round(progress.first_token or 0, 3),
        "total": round(time.monotonic() - progress.begun, 3),
    }


def _receipt(
    facts: EngineFacts,
    turn: Turn,
    found: Retrieved,
    finished: Finished | None = None,
    excerpts: Sequence[Excerpt] = (),
) -> dict[str, object]:
    """What the answer rests on, in references and hashes. A passage that the model read says from where to
    where."""
    quoting = turn.mode == Mode.QUOTE
    read = {one.n: {"start": one.start, "end": one.start + len(one.text)} for one in excerpts}
    return {
        "embed_model_sha256": found.generation.embedder_sha256,
        "llm_sha256": facts.model_sha256,
        "template_sha256": facts.template_sha256,
        "index_generation": found.generation.number,
        "rerank_model_sha256": found.reranker_sha256,
        "params": {
            "temperature": 0,
            "seed": 0,
            "mode": str(turn.mode),
            "max_tokens": quote.MOST_TOKENS if quoting else settings.ANSWER_TOKENS,
            "n_ctx": facts.context,
            "backend": facts.build,
            "exact_counts": facts.exact_counts,
            "prompt_version": quote.PROMPT_VERSION if quoting else PROMPT_VERSION,
        },
        "passages": [
            {
                "chunk_ref": str(candidate.passage.id),
                "doc_ref": str(candidate.passage.version.document_id),
                "doc_version": str(candidate.passage.version_id),
                "chunk_sha256": candidate.passage.sha256,
                "rank": rank,
                **read.get(rank, {}),
            }
            for rank, candidate in enumerate(found.candidates, start=1)
        ],
        "tokens_in": finished.prompt_tokens if finished else 0,
        "tokens_out": finished.output_tokens if finished else 0,
        "finish_reason": finished.reason if finished else "no_answer_found",
    }


def _end(
    scope: Scope,
    turn: Turn,
    state: TurnState,
    text: str,
    statements: Sequence[Statement],
    timings: Mapping[str, float],
    receipt: Mapping[str, object],
) -> None:
    conversations.end_answer(scope, turn, state, text, statements, timings, receipt)
    conversations.tell(turn, "done", {"state": str(state)})
