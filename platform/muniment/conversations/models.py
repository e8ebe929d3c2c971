"""Questions and answers, what they rest on, and what people thought of them."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _


class TurnState(models.TextChoices):
    ASKED = "asked", _("waiting")
    SEARCHING = "searching", _("searching")
    ANSWERING = "answering", _("answering")
    ANSWERED = "answered", _("answered")
    WEAK = "weak", _("weakly supported")
    NOT_IN_DOCUMENTS = "not_in_documents", _("not in your documents")
    STOPPED = "stopped", _("stopped")
    FAILED = "failed", _("failed")


class Mode(models.TextChoices):
    """How a question is answered: in the model's words, or with sentences of the documents alone."""

    ANSWER = "answer", _("in the model's words")
    QUOTE = "quote", _("with quotations only")


OPEN_TURNS = (TurnState.ASKED, TurnState.SEARCHING, TurnState.ANSWERING)
ENDED_TURNS = tuple(state for state in TurnState if state not in OPEN_TURNS)

# From which state a turn may go where; a test walks it.
TURN_MOVES: dict[TurnState, frozenset[TurnState]] = {
    TurnState.ASKED: frozenset({TurnState.SEARCHING, TurnState.STOPPED, TurnState.FAILED}),
    TurnState.SEARCHING: frozenset(
        {
            TurnState.SEARCHING,
            TurnState.ANSWERING,
            TurnState.NOT_IN_DOCUMENTS,
            TurnState.STOPPED,
            TurnState.FAILED,
        }
    ),
    TurnState.ANSWERING: frozenset(
        {
            TurnState.SEARCHING,
            TurnState.ANSWERED,
            TurnState.WEAK,
            TurnState.NOT_IN_DOCUMENTS,
            TurnState.STOPPED,
            TurnState.FAILED,
        }
    ),
    **{state: frozenset() for state in ENDED_TURNS},
}


class Conversation(models.Model):
    """A person's own questions. `libraries` and `documents` narrow what is searched; empty means all."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    person = models.UUIDField()
    title = models.CharField(max_length=120)
    libraries = models.JSONField(default=list)
    documents = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "person", "-changed_at"], name="conversation_own")]


class Turn(models.Model):
    """A question and its answer.

    `timings` are seconds: search, queue, first_token, total. `receipt` holds what the answer rests on:
    hashes, parameters, passages. `statements` is what was found about each sentence of the answer, see
    `statements.py`; empty where sentences were not checked. `left_out` counts
    passages found that did not fit the prompt budget.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="turns")
    ordinal = models.PositiveIntegerField()
    question = models.TextField()
    mode = models.CharField(max_length=10, choices=Mode.choices, default=Mode.ANSWER)
    searched = models.TextField(blank=True)
    state = models.CharField(max_length=20, choices=TurnState.choices, default=TurnState.ASKED)
    answer = models.TextField(blank=True)
    model = models.CharField(max_length=120, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    left_out = models.PositiveIntegerField(default=0)
    timings = models.JSONField(default=dict)
    receipt = models.JSONField(default=dict)
    statements = models.JSONField(default=dict)
    intent = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "ordinal"], name="turn_ordinal_once")]


class Source(models.Model):
    """A passage found for a turn, number `n` in it, with the sentence that fits best.

    The text is the passage's; `best_start` and `best_end` are offsets in it. `given` when it was in the
    prompt, `cited` once a sentence of the answer rests on it. `alike` has the ids of passages that say the
    same.
    """

    tenant = models.UUIDField()
    turn = models.ForeignKey(Turn, models.CASCADE, related_name="sources")
    n = models.PositiveSmallIntegerField()
    passage = models.UUIDField()
    document = models.UUIDField()
    version = models.UUIDField()
    page = models.PositiveIntegerField()
    score = models.FloatField()
    best_start = models.PositiveIntegerField()
    best_end = models.PositiveIntegerField()
    given = models.BooleanField(default=False)
    cited = models.BooleanField(default=False)
    alike = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["turn", "n"], name="source_number_once")]
        indexes = [models.Index(fields=["tenant", "document"], name="source_document")]
        ordering = ["n"]


class Feedback(models.Model):
    """Thumbs up (1) or down (-1), with a reason if the person gave one.

    `shared` where the person lets the curators of the libraries see it, with question, answer and passages.
    """

    tenant = models.UUIDField()
    turn = models.OneToOneField(Turn, models.CASCADE, related_name="feedback")
    value = models.SmallIntegerField()
    reason = models.TextField(blank=True)
    shared = models.BooleanField(default=False)
    at = models.DateTimeField(auto_now=True)
