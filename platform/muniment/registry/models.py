"""Models as rows that the workers fill, so that pages can show them without loading any."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Engine(models.Model):
    """The engine that answers now, as it described itself, and what its speed trial found.

    Speeds are tokens a second. `budget` is how many prompt tokens are read within the set time to the first
    word; `budget_by_hand` is an administrator's own figure and wins.
    """

    model = models.CharField(max_length=120, primary_key=True)
    facts = models.JSONField(default=dict)
    prompt_speed = models.FloatField(null=True)
    output_speed = models.FloatField(null=True)
    budget = models.PositiveIntegerField(null=True)
    budget_by_hand = models.PositiveIntegerField(null=True)
    tried_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(auto_now=True)

    @property
    def prompt_budget(self) -> int | None:
        return self.budget_by_hand or self.budget


class Check(models.Model):
    """What the doctor found about a part when it looked last, and a sentence that says what to do."""

    class State(models.TextChoices):
        OK = "ok", _("in order")
        WARN = "warn", _("needs care")
        BAD = "bad", _("broken")

    name = models.CharField(max_length=40, primary_key=True)
    state = models.CharField(max_length=8, choices=State.choices)
    sentence = models.TextField()
    place = models.PositiveSmallIntegerField()
    at = models.DateTimeField()


class Report(models.Model):
    """The newest of a kind of report that the workers make about the installation."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()
    body = models.JSONField()


class Calibration(models.Model):
    """What tells with an embedder whether passages hold an answer, in the versioned form of the workers, and
    what it was fitted to."""

    embedder_sha256 = models.CharField(max_length=64, primary_key=True)
    weights = models.JSONField()
    measured = models.JSONField()
    at = models.DateTimeField()
