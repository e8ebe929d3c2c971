"""What the workers write of models, and what an administrator sets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from muniment.audit import actions
from muniment.audit.services import Thing, record
from muniment.pages.errors import Forbidden, Invalid, NotFound
from muniment.registry.models import Calibration, Check, Engine, Report
from muniment.scope import Role, Scope

SMALLEST_BUDGET = 300


def see_engine(model: str, facts: dict[str, Any]) -> Engine:
    """Note which engine answers now."""
    engine, _made = Engine.objects.update_or_create(model=model, defaults={"facts": facts})
    return engine


def store_trial(model: str, prompt_speed: float, output_speed: float) -> Engine:
    """Keep a speed trial's figures and the prompt budget that follows from them."""
    budget = max(SMALLEST_BUDGET, round(prompt_speed * settings.FIRST_WORD_SECONDS))
    engine, _made = Engine.objects.update_or_create(
        model=model,
        defaults={
            "prompt_speed": prompt_speed,
            "output_speed": output_speed,
            "budget": budget,
            "tried_at": timezone.now(),
        },
    )
    return engine


@transaction.atomic
def store_checks(findings: Iterable[tuple[str, str, str]]) -> None:
    """Keep what the doctor found: name, state and sentence of each check, in place of the last visit's."""
    now = timezone.now()
    Check.objects.all().delete()
    Check.objects.bulk_create(
        Check(name=name, state=state, sentence=sentence, place=place, at=now)
        for place, (name, state, sentence) in enumerate(findings)
    )


@transaction.atomic
def set_budget(scope: Scope, model: str, budget: int | None) -> Engine:
    """Fix the prompt budget by hand, or with None leave it to the trial again."""
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    engine = Engine.objects.filter(model=model).first()
    if engine is None:
        raise NotFound
    context = int(engine.facts.get("context", settings.CONTEXT_TOKENS))
    if budget is not None and not SMALLEST_BUDGET <= budget <= context - settings.ANSWER_TOKENS:
        raise Invalid(
            _("The budget lies between %(low)s and %(high)s tokens.")
            % {"low": SMALLEST_BUDGET, "high": context - settings.ANSWER_TOKENS}
        )
    before, engine.budget_by_hand = engine.prompt_budget, budget
    engine.save(update_fields=["budget_by_hand"])
    record(
        scope,
        actions.BUDGET_CHANGED,
        Thing("engine", model),
        details={"model": model, "budget": engine.prompt_budget, "budget_before": before},
    )
    return engine


def store_report(name: str, body: dict[str, Any]) -> None:
    """Keep a report in place of the last one of its name."""
    Report.objects.update_or_create(name=name, defaults={"body": body, "at": timezone.now()})


@transaction.atomic
def store_calibration(
    scope: Scope, embedder_sha256: str, weights: dict[str, Any], measured: dict[str, Any]
) -> None:
    """Keep when questions are to be refused with this embedder, in place of what was kept before."""
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    Calibration.objects.update_or_create(
        pk=embedder_sha256, defaults={"weights": weights, "measured": measured, "at": timezone.now()}
    )
    record(
        scope,
        actions.REFUSALS_CALIBRATED,
        Thing("embedder", embedder_sha256),
        details={"embedder_sha256": embedder_sha256, "questions": measured["questions"]},
    )
