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
from muniment.search.asked import Narrowing
from muniment.search.asked import asked as taken_apart
from muniment.wall import within
from workers import generations
from workers.answer import pipeline
from workers.answer.search import search, told
from workers.engines import EngineUnavailable, IndexUnavailable, connect
from workers.leases import work

log = logging.getLogger(__name__)


@shared_task(name="answer.run")
def run(job: str, tenant: str) -> None:
    work(job, tenant, pipeline.answer)


@shared_task(name="search.run")
def find(key: str, question: str) -> None:
    """The message names the person; what they may see is looked up here."""
    asked = json.loads(question)
    close_old_connections()
    try:
        with within(UUID(asked["tenant"])):
            reply(key, _found(asked))
    except (EngineUnavailable, IndexUnavailable, Person.DoesNotExist) as error:
        log.warning("search.failed error=%s", type(error).__name__)
        reply(key, {"problem": "search"})
    finally:
        close_old_connections()


def _found(asked: dict[str, Any]) -> dict[str, Any]:
    person = Person.objects.get(pk=asked["person"], tenant=asked["tenant"], is_active=True)
    words, generation = taken_apart(asked["query"]), generations.serving()
    dense = generations.embed_with(connect.engine(), generation)([words.text])[0]
    scope, index = scope_of_person(person, Origin(kind="person")), generations.index_of(generation)
    return told(search(scope, index, words, dense, Narrowing.heard(asked["where"]), int(asked["page"])))
