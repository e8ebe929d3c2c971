"""Several clocks: what one has sent, another does not send again."""

from __future__ import annotations

import time

import pytest
import redis

from workers.clock import is_first


def test_what_was_sent_is_not_sent_again_before_its_time(broker: redis.Redis) -> None:
    assert is_first("sweep", 0.5)
    assert not is_first("sweep", 0.5)
    assert is_first("tidy", 0.5)
    time.sleep(0.5)
    assert is_first("sweep", 0.5)


@pytest.mark.usefixtures("no_broker")
def test_without_a_broker_each_tries() -> None:
    assert is_first("sweep", 0.5)
