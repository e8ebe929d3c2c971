"""What is read of models, and of the doctor's last visit."""

from __future__ import annotations

from typing import Any

from muniment.registry.models import Check, Engine, Report


def present_engine() -> Engine | None:
    """The engine that was seen last."""
    return Engine.objects.order_by("-seen_at").first()


def all_engines() -> list[Engine]:
    return list(Engine.objects.order_by("-seen_at"))


def last_checks() -> list[Check]:
    """What the doctor found last, in its order; empty before its first visit."""
    return list(Check.objects.order_by("place"))


def last_report(name: str) -> dict[str, Any] | None:
    """The newest report of a name; None before the first."""
    row = Report.objects.filter(pk=name).first()
    return dict(row.body) if row else None
