"""A speed trial, once for each model on this machine: how much prompt fits the time to the first word."""

from __future__ import annotations

import logging
import os

from muniment.jobs.models import Kind
from muniment.jobs.queries import open_count
from muniment.registry.services import see_engine, store_trial
from workers.engines import EngineUnavailable, connect

log = logging.getLogger(__name__)


def try_speed_once() -> None:
    """Measure the engine that answers now, unless that was done, or the machine has other things to do."""
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        return
    engine = connect.engine()
    try:
        facts = engine.facts()
        row = see_engine(facts.model, vars(facts))
        if row.tried_at or open_count(Kind.ANSWER) or open_count(Kind.INGEST):
            return
        prompt_speed, output_speed = engine.speed_trial()
    except EngineUnavailable:
        return
    store_trial(facts.model, prompt_speed, output_speed)
    log.info("engine.tried model=%s prompt=%.1f output=%.1f", facts.model, prompt_speed, output_speed)
