"""A real worker on the real broker, where the word that its work is done gets lost."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import redis
from celery import Celery

from muniment.jobs.broker import celery_url

ROOT = Path(__file__).resolve().parents[2]
# The broker is away for a moment just when the first task says that it is done.
WORKER = """
import sys
import redis
from celery import Celery
from kombu.transport.redis import QoS

acknowledge = QoS.ack

def lost(self, tag):
    QoS.ack = acknowledge
    raise redis.ConnectionError("The broker is away.")

QoS.ack = lost
app = Celery("test", broker=sys.argv[1])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_consumer="workers.consumer:Consumer",
)

@app.task(name="test.note")
def note(path, word):
    with open(path, "a") as file:
        file.write(word)

app.worker_main(["worker", "-Q", "notes", "--pool=" + sys.argv[2], "--concurrency=1", "--without-mingle"])
"""


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_cannot_say_it_is_done_goes_on(broker: redis.Redis, tmp_path: Path, pool: str) -> None:
    """Else it would wait for ever to be told of more, because it may hold only so many messages."""
    noted, sender = tmp_path / "noted", Celery("sender", broker=celery_url())
    noted.touch()
    command = [sys.executable, "-c", textwrap.dedent(WORKER), celery_url(), pool]
    worker = subprocess.Popen(command, cwd=ROOT, env={"PYTHONPATH": f"{ROOT}/platform:{ROOT}"})
    try:
        for word in "abc":
            sender.send_task("test.note", [str(noted), word], queue="notes", ignore_result=True)
        until = time.monotonic() + 30
        while "c" not in noted.read_text():
            assert time.monotonic() < until, f"heard only {noted.read_text()!r}"
            time.sleep(0.1)
    finally:
        worker.terminate()
        worker.wait(timeout=20)
