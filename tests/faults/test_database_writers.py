"""Several processes write to the one database, as web, ingest, answer and upkeep do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import ROOT, RunningHouse

# Each round is what the parts do all day: a job with its event, its lease, its end, and reads between.
WRITER = """
import sys, time
sys.path[:0] = [{root!r}, {root!r} + "/platform"]
import django
django.setup()
from uuid import uuid4
from django.db import OperationalError, transaction
from muniment.audit import actions
from muniment.audit.services import record
from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind, State
from muniment.scope import Scope
from muniment.tenancy.models import Tenant

jobs.ring = lambda job: True
scope = Scope(tenant=Tenant.objects.get().id)
until, rounds = time.monotonic() + float(sys.argv[1]), 0
while time.monotonic() < until:
    with transaction.atomic():
        job = jobs.create(scope, Kind.MOVE, uuid4())
        record(scope, actions.SEARCHED, details={{"hits": rounds}}, private={{"query": "a word"}})
    held = jobs.take(job.id, job.tenant, "writer:%s" % uuid4().hex)
    assert held and jobs.renew(held)
    jobs.sweep()
    assert jobs.finish(held)
    assert Job.objects.get(pk=job.id).state == State.DONE
    rounds += 1
print(rounds)
"""


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.deep)])
def test_four_writing_processes_see_no_lock_error(tmp_path: Path, seconds: int) -> None:
    house = RunningHouse(tmp_path)
    house.prepare()
    command = [sys.executable, "-c", WRITER.format(root=str(ROOT)), str(seconds)]
    writers = [
        subprocess.Popen(
            command, env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    ended = [(writer.communicate(timeout=seconds + 60), writer.returncode) for writer in writers]
    for (_out, err), code in ended:
        assert code == 0, err[-2000:]
        assert "locked" not in err
    # None of them had to wait for its turn until the end.
    assert all(int(out) > seconds for (out, _err), _code in ended), ended
