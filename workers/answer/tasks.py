"""Celery's side of answers and of search."""

from __future__ import annotations

import json
import logging
from typing import Any
from uuid import UUID

from celery import shared_task
from django.db import close_old_connections

from muniment.accounts.models import Person
from muniment.accounts.services import scope_of_person
from muniment.jobs.replies import reply
from muniment.scope import Origin
from muniment.wall import within
from workers import generations
from workers.answer import pipeline
from workers.answer.retrieve import best_by_words, find
from workers.engines import EngineUnavailable, IndexUnavailable, connect
from workers.leases import work

log = logging.getLogger(__name__)


@shared_task(name="answer.run")
def run(job: str, tenant: str) -> None:
    work(job, tenant, pipeline.answer)


@shared_task(name="search.run")
def search(key: str, question: str) -> None:
    """The message names the person; what they may see is looked up here."""
    asked = json.loads(question)
    close_old_connections()
    try:
        with within(UUID(asked["tenant"])):
            reply(key, {"hits": _hits(asked)})
    except (EngineUnavailable, IndexUnavailable, Person.DoesNotExist) as error:
        log.warning("search.failed error=%s", type(error).__name__)
        reply(key, {"problem": "search"})
    finally:
        close_old_connections()


def _hits(asked: dict[str, Any]) -> list[dict[str, Any]]:
    person = Person.objects.get(pk=asked["person"], tenant=asked["tenant"], is_active=True)
    generation = generations.serving()
    found = find(
        scope_of_person(person, Origin(kind="person")),
        generations.embed_with(connect.engine(), generation),
        generations.index_of(generation),
        asked["query"],
        int(asked["limit"]),
        [UUID(library) for library in asked["libraries"]] or None,
    )
    best = best_by_words(asked["query"], [passage for passage, _score in found])
    return [
        {"passage": str(passage.id), "score": score, "best_start": start, "best_end": end}
        for (passage, score), (start, end) in zip(found, best, strict=True)
    ]
