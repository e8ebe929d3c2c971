"""What is read of models, and of the doctor's last visit."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from muniment.registry.models import Calibration, Check, Engine, Report

# The supervisor writes every two seconds; after this it is taken for gone.
STALE_SECONDS = 15


def supervised() -> list[dict[str, Any]]:
    """What the supervisor says of each part it watches, as `workers.supervisor` writes it; empty where it
    does not run."""
    try:
        state = json.loads((Path(settings.RUN_DIR) / "state.json").read_text())
        fresh = time.time() - state["updated"] < STALE_SECONDS
        return list(state["processes"]) if fresh else []
    except (OSError, ValueError, KeyError, TypeError):
        return []


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


def calibration(embedder_sha256: str) -> dict[str, Any]:
    """What was calibrated here for an embedder; empty where nothing was."""
    found = Calibration.objects.filter(pk=embedder_sha256).values_list("weights", flat=True).first()
    return found or {}
