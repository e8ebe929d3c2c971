"""Who waits for a worker's reply does not keep others from the database meanwhile."""

from __future__ import annotations

import pytest
import redis
from django.db import connection, connections

from muniment.jobs import replies
from tests.worker import Question, answering


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pooled", [True, False])
def test_a_connection_of_a_pool_is_given_back_while_one_waits(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", pooled)
    held = []

    def answer(_question: Question) -> dict[str, object]:
        held.append(ours.connection is not None)
        return {"ok": True}

    ours = connections["default"]  # the one of this thread, as the worker's thread sees it
    with answering(broker, "answer", answer):
        assert replies.ask("test.echo", "answer", {}, timeout=10) == {"ok": True}
    assert held == [not pooled]
