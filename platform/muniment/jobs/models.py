"""Durable work. The row is the truth; the broker only rings the bell."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7


class Kind(models.TextChoices):
    INGEST = "ingest", _("read a document")
    REMOVE = "remove", _("remove a document")
    MOVE = "move", _("move a document")
    ANSWER = "answer", _("answer a question")
    REINDEX = "reindex", _("index a document again")
    BUILD = "build", _("add a document to a new index")
    EVALUATE = "evaluate", _("ask the kept questions")


class State(models.TextChoices):
    READY = "ready", _("waiting")
    RUNNING = "running", _("in work")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")


OPEN_STATES = (State.READY, State.RUNNING)

# From which state a job may go where; a test walks it.
MOVES: dict[State, frozenset[State]] = {
    State.READY: frozenset({State.RUNNING, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset({State.RUNNING, State.READY, State.DONE, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


class Job(models.Model):
    """Work on `subject` (a version, a document, a turn or a run), held by a lease while somebody does it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.UUIDField()
    person = models.UUIDField(null=True)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    subject = models.UUIDField()
    state = models.CharField(max_length=16, choices=State.choices, default=State.READY)
    attempt = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True)
    next_at = models.DateTimeField()
    rung_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(state__in=OPEN_STATES), name="job_open_once"
            )
        ]
        indexes = [
            models.Index(fields=["state", "next_at"], name="job_state_next"),
            models.Index(fields=["tenant", "kind", "state"], name="job_tenant_kind"),
        ]
