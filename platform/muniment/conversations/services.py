"""What happens to questions and answers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from muniment.audit import actions
from muniment.audit.actions import Outcome, Stage
from muniment.audit.services import Thing, commitment, record
from muniment.conversations import queries
from muniment.conversations.errors import EmptyQuestion, NothingToSearch, QuestionTooLong, StillAnswering
from muniment.conversations.models import (
    OPEN_TURNS,
    TURN_MOVES,
    Conversation,
    Feedback,
    Mode,
    Source,
    Turn,
    TurnState,
)
from muniment.conversations.statements import Statement, cited, stored
from muniment.documents.models import Document
from muniment.documents.queries import document_counts, visible_documents
from muniment.jobs import services as jobs
from muniment.jobs.models import Kind
from muniment.jobs.queries import is_held
from muniment.jobs.streams import append, drop, turn_key
from muniment.pages.errors import Conflict, Invalid, NotFound
from muniment.scope import Scope
from muniment.tenancy.queries import tenant_of

# Unseen, but words of Persian and of Indian scripts need them.
_JOINERS = "\u200c\u200d"


@transaction.atomic
def ask(
    scope: Scope,
    question: str,
    conversation_id: UUID | None = None,
    libraries: Iterable[UUID] = (),
    documents: Iterable[UUID] = (),
    mode: Mode = Mode.ANSWER,
) -> Turn:
    """Write a question, its job and its event. `libraries` and `documents` count for a new conversation.

    Where the tenant wants quotations only, `mode` does not count.
    """
    question = _checked(question)
    mode = Mode.QUOTE if tenant_of(scope).quotes_only else mode
    if conversation_id is None:
        conversation = _begin(scope, question, frozenset(libraries), frozenset(documents))
    else:
        # Locked, so that of two questions sent at once the second one sees the first.
        conversation = queries.conversation(scope, conversation_id, lock=True)
        if conversation.turns.filter(state__in=OPEN_TURNS).exists():
            raise StillAnswering
        conversation.save(update_fields=["changed_at"])
    turn = Turn.objects.create(
        tenant=scope.tenant,
        conversation=conversation,
        ordinal=conversation.turns.count() + 1,
        question=question,
        mode=mode,
    )
    record(
        scope,
        actions.QUESTION_ASKED,
        Thing("turn", turn.id),
        details={
            "conversation": conversation.id,
            "libraries": conversation.libraries,
            "documents": conversation.documents,
            "mode": str(mode),
        },
        private={"question": question},
    )
    jobs.create(scope, Kind.ANSWER, turn.id)
    return turn


def _checked(question: str) -> str:
    # What is far too long is not looked at further.
    if len(question) <= 4 * settings.QUESTION_LIMIT_CHARS:
        question = "".join(_typed(c) for c in question.replace("\r\n", "\n")).strip()
    if not question:
        raise EmptyQuestion
    if len(question) > settings.QUESTION_LIMIT_CHARS:
        raise QuestionTooLong(
            _("A question has at most %(limit)s characters; this one has %(has)s. Shorten it.")
            % {"limit": settings.QUESTION_LIMIT_CHARS, "has": len(question)}
        )
    return question


def _typed(c: str) -> str:
    """A character as it may stand in a question: no controls and no marks that nobody sees."""
    if c.isspace():
        return "\n" if c == "\n" else " "
    return c if c.isprintable() or c in _JOINERS else ""


def _begin(
    scope: Scope, question: str, libraries: frozenset[UUID], documents: frozenset[UUID]
) -> Conversation:
    person = queries.asker(scope)
    if not libraries <= scope.libraries:
        raise NotFound
    counts = document_counts(scope)
    if not documents and not any(counts.get(library) for library in libraries or scope.libraries):
        raise NothingToSearch
    if documents and visible_documents(scope).filter(pk__in=documents).count() != len(documents):
        raise NotFound
    return Conversation.objects.create(
        tenant=scope.tenant,
        person=person,
        title=_title(question),
        libraries=sorted(map(str, libraries)),
        documents=sorted(map(str, documents)),
    )


def _title(question: str) -> str:
    line = " ".join(question.split())
    return line if len(line) <= 100 else line[:99].rsplit(" ", 1)[0] + "…"


def move_turn(turn: Turn, state: TurnState, **fields: Any) -> None:
    """Change a turn's state by the table of allowed moves; raises `Conflict` otherwise."""
    allowed = [before for before, after in TURN_MOVES.items() if state in after]
    if not Turn.objects.filter(pk=turn.pk, state__in=allowed).update(state=state, **fields):
        raise Conflict
    turn.refresh_from_db()


def tell(turn: Turn, event: str, data: Mapping[str, Any]) -> None:
    """Append to the turn's live stream."""
    append(turn_key(turn.tenant, turn.id), event, dict(data))


@transaction.atomic
def begin_search(turn: Turn) -> None:
    """A worker has the lease. What an earlier try left is gone; `begin` tells the stream's readers."""
    turn.sources.all().delete()
    move_turn(turn, TurnState.SEARCHING, answer="", receipt={}, timings={}, left_out=0, error_code="")
    transaction.on_commit(partial(_begin_stream, turn))


def _begin_stream(turn: Turn) -> None:
    drop(turn_key(turn.tenant, turn.id))
    tell(turn, "begin", {})


def store_sources(turn: Turn, searched: str, sources: Iterable[Source], timings: Mapping[str, float]) -> None:
    """Keep what was found. Raises `Conflict` where the turn was stopped or deleted in the meantime."""
    with transaction.atomic():
        searching = Turn.objects.filter(pk=turn.pk, state=TurnState.SEARCHING)
        if not searching.update(searched=searched, timings=dict(timings)):
            raise Conflict
        Source.objects.bulk_create(sources)
    turn.refresh_from_db()


def mark_quoted(turn: Turn, places: Mapping[int, tuple[int, int]]) -> None:
    """By number of the source, the sentence in it that was quoted: a citation opens there."""
    for n, (start, end) in places.items():
        turn.sources.filter(n=n).update(best_start=start, best_end=end)


@transaction.atomic
def begin_answer(
    scope: Scope, turn: Turn, model: str, prompt: str, given: Iterable[int], left_out: int
) -> None:
    """The intent: it commits before the first token leaves.

    Prompt and answer may hold personal data, and a short text can be guessed from its hash. So the trail gets
    commitments under a salt that lies with the turn, and goes with it.
    """
    salt = os.urandom(16)
    turn.sources.filter(n__in=list(given)).update(given=True)
    intent = record(
        scope,
        actions.ANSWER_STARTED,
        Thing("turn", turn.id),
        stage=Stage.INTENT,
        outcome=Outcome.PENDING,
        details={
            "conversation": turn.conversation_id,
            "model": model,
            "prompt_commit": commitment(salt, prompt),
        },
    )
    receipt = {"salt": salt.hex(), "prompt_commit": commitment(salt, prompt)}
    move_turn(turn, TurnState.ANSWERING, model=model, left_out=left_out, intent=intent, receipt=receipt)


@transaction.atomic
def end_answer(
    scope: Scope,
    turn: Turn,
    state: TurnState,
    answer: str,
    statements: Sequence[Statement] = (),
    timings: Mapping[str, float] | None = None,
    receipt: Mapping[str, Any] | None = None,
    error_code: str = "",
) -> None:
    """Store how a turn ended, with the outcome event. Raises `Conflict` where it has ended already."""
    turn.sources.filter(n__in=cited(statements)).update(cited=True)
    begun = {"salt": os.urandom(16).hex(), **turn.receipt}
    move_turn(
        turn,
        state,
        answer=answer,
        timings={**turn.timings, **(timings or {})},
        receipt={**(receipt or {}), **begun},
        statements=stored(statements),
        error_code=error_code,
        finished_at=timezone.now(),
    )
    outcome = Outcome.FAILED if state == TurnState.FAILED else Outcome.DONE
    record(
        scope,
        actions.ANSWER_FINISHED,
        Thing("turn", turn.id),
        outcome=outcome,
        reason=error_code,
        details={
            **(receipt or {}),
            "conversation": turn.conversation_id,
            "state": str(state),
            "answer_commit": commitment(bytes.fromhex(begun["salt"]), answer),
        },
    )


def stop(scope: Scope, turn_id: UUID) -> Turn:
    """End a turn that is waiting or being answered.

    Who is writing the answer is told, and ends it with what there is. Where nobody is, or the telling fails,
    the turn ends here and its job is cancelled.
    """
    turn = queries.turn(scope, turn_id)
    if turn.state not in OPEN_TURNS:
        return turn
    with transaction.atomic():
        record(
            scope,
            actions.ANSWER_STOPPED,
            Thing("turn", turn.id),
            details={"conversation": turn.conversation_id},
        )
    told = append(stop_key(turn), "stop", {})
    if not (told and is_held(scope, Kind.ANSWER, turn.id)):
        _stop_here(scope, turn)
    return turn


def _stop_here(scope: Scope, turn: Turn) -> None:
    try:
        with transaction.atomic():
            jobs.cancel(scope, Kind.ANSWER, turn.id)
            end_answer(scope, turn, TurnState.STOPPED, turn.answer)
    except Conflict:
        return  # it came to its own end just now
    tell(turn, "done", {"state": str(TurnState.STOPPED)})


def stop_key(turn: Turn) -> str:
    """Where a worker looks whether its turn shall stop."""
    return turn_key(turn.tenant, turn.id) + ":stop"


@transaction.atomic
def rate(scope: Scope, turn_id: UUID, value: int, reason: str = "", shared: bool = False) -> Feedback:
    """Thumbs up or down on one's own answer; the last word counts.

    With `shared` curators see why an answer was not right. Nothing else is theirs to see.
    """
    turn = queries.turn(scope, turn_id)
    if value not in {1, -1}:
        raise Invalid
    if turn.state in OPEN_TURNS:
        raise Conflict
    reason = reason.strip()[:2000]
    shared = shared and value == -1 and queries.counting_sources(scope, turn).exists()
    feedback, _made = Feedback.objects.update_or_create(
        turn=turn, defaults={"tenant": scope.tenant, "value": value, "reason": reason, "shared": shared}
    )
    _record_rating(scope, feedback)
    return feedback


@transaction.atomic
def keep_rating_private(scope: Scope, turn_id: UUID) -> Feedback:
    """Take back that curators see it. What they have kept of it until now stays with them."""
    feedback = Feedback.objects.filter(turn=queries.turn(scope, turn_id)).first()
    if feedback is None:
        raise NotFound
    feedback.shared = False
    feedback.save()
    _record_rating(scope, feedback)
    return feedback


def _record_rating(scope: Scope, feedback: Feedback) -> None:
    details = {
        "conversation": feedback.turn.conversation_id,
        "value": feedback.value,
        "shared": feedback.shared,
    }
    private = {"reason": feedback.reason} if feedback.reason else {}
    record(scope, actions.ANSWER_RATED, Thing("turn", feedback.turn_id), details=details, private=private)


@transaction.atomic
def rename(scope: Scope, conversation_id: UUID, title: str) -> Conversation:
    conversation = queries.conversation(scope, conversation_id)
    title = " ".join(title.split())
    if not title or len(title) > 120:
        raise Invalid(_("A title has 1 to 120 characters."))
    conversation.title = title
    conversation.save(update_fields=["title"])
    record(
        scope,
        actions.CONVERSATION_RENAMED,
        Thing("conversation", conversation.id),
        private={"title": title},
    )
    return conversation


def delete(scope: Scope, conversation_id: UUID) -> None:
    """Remove a conversation with its questions and answers; the trail keeps that they happened."""
    conversation = queries.conversation(scope, conversation_id)
    turns = list(conversation.turns.all())
    for turn in turns:
        if turn.state in OPEN_TURNS:
            stop(scope, turn.id)
    with transaction.atomic():
        for turn in turns:
            jobs.cancel(scope, Kind.ANSWER, turn.id)
        record(
            scope,
            actions.CONVERSATION_DELETED,
            Thing("conversation", conversation.id),
            details={"turns": len(turns)},
        )
        conversation.delete()
    for turn in turns:
        drop(turn_key(turn.tenant, turn.id))


def record_answers_viewed(scope: Scope, document: Document, counted: bool) -> None:
    """That somebody looked which answers cite a document; `counted` where those of others were told."""
    with transaction.atomic():
        thing = Thing("document", document.id, label=document.label)
        details = {"library": document.library_id, "counted": counted}
        record(scope, actions.DOCUMENT_ANSWERS_VIEWED, thing, details=details)


def record_exported(scope: Scope, turn: Turn, format: str, sha256: str, label: int) -> None:
    """That an answer leaves as a file with this hash; written before it does."""
    with transaction.atomic():
        thing = Thing("turn", turn.id, label=label)
        record(scope, actions.ANSWER_EXPORTED, thing, details={"format": format, "sha256": sha256})


def record_opened(scope: Scope, conversation: Conversation) -> None:
    with transaction.atomic():
        record(scope, actions.CONVERSATION_VIEWED, Thing("conversation", conversation.id))
