"""Who waits for a worker's reply does not keep others from the database meanwhile."""

from __future__ import annotations

import pytest
import redis
from django.db import connections

from muniment.jobs import replies
from tests.worker import answering


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("pooled", [True, False])
def test_a_connection_of_a_pool_is_given_back_while_one_waits(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch, pooled: bool
) -> None:
    ours, closed = connections["default"], []
    monkeypatch.setitem(ours.settings_dict["OPTIONS"], "pool", pooled)
    monkeypatch.setattr(ours, "close", lambda: closed.append("closed"))
    with answering(broker, "answer", lambda _question: {"ok": bool(closed) == pooled}):
        assert replies.ask("test.echo", "answer", {}, timeout=10) == {"ok": True}
    monkeypatch.undo()
