"""Questions kept to see whether what answers them is found, and what each run of them found."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _

from muniment.tenancy.models import Library

# Of the columns `settings`, `measures` and `found`.
FORMAT = 1


class Case(models.Model):
    """A question of a library's kept set, with the document and page that answer it where they are known.

    `turn` is the turn of a conversation that it was made from.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    library = models.ForeignKey(Library, models.CASCADE, related_name="cases")
    question = models.TextField()
    document = models.UUIDField(null=True)
    page = models.PositiveIntegerField(null=True)
    turn = models.UUIDField(null=True)
    added_by = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["library", "turn"], name="case_turn_once")]
        ordering = ["created_at", "id"]


class RunState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class Run(models.Model):
    """All questions of a set, asked once.

    `name` is the data set's, empty for the library's kept set. `questions` is a hash of what was asked and of
    what is judged right. `settings` say what answered: models, hashes, splitter, version. `measures` has a
    mean and a number of questions for each measure, `search_ms` its p50 and p95.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    person = models.UUIDField(null=True)
    library = models.ForeignKey(Library, models.CASCADE, related_name="runs")
    name = models.CharField(max_length=120, blank=True)
    state = models.CharField(max_length=16, choices=RunState.choices, default=RunState.WAITING)
    error = models.CharField(max_length=40, blank=True)
    format = models.PositiveSmallIntegerField(default=FORMAT)
    questions = models.CharField(max_length=64, blank=True)
    settings = models.JSONField(default=dict)
    measures = models.JSONField(default=dict)
    search_ms = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["tenant", "library", "-created_at"], name="run_of_library")]


class Result(models.Model):
    """What a run found for one question: `found` lists document, page and score, best first.

    `query` is a case's id, or the data set's id of the question.
    """

    tenant = models.UUIDField()
    run = models.ForeignKey(Run, models.CASCADE, related_name="results")
    ordinal = models.PositiveIntegerField()
    query = models.TextField()
    question = models.TextField()
    measures = models.JSONField(default=dict)
    found = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "ordinal"], name="result_ordinal_once")]
        ordering = ["ordinal"]
