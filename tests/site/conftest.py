"""A site's database: roles made by its own script, tables of the owner, people served by another role."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Cluster
from tests.running import ROOT, RunningHouse

SCRIPT = ROOT / "deploy" / "postgres" / "roles.sql"
ROLES = ("owner", "web", "worker", "sequencer")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("site")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # the server runs as another account
    cluster = Cluster(folder / "postgres")
    cluster.start()
    try:
        cluster.script(SCRIPT, **{f"{role}_password": f"{role} of a test, long enough" for role in ROLES})
        owner = os.environ | {
            "MUNIMENT_DATABASE_URL": cluster.url("muniment_owner"),
            "DJANGO_SETTINGS_MODULE": "workers.settings",
        }
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=owner, check=True)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHouse]:
    """All parts of a site, as a role that owns nothing."""
    url = cluster.url("muniment_worker")
    folder = Path(tmp_path_factory.mktemp("parts"))
    house = RunningHouse(folder, MUNIMENT_DATABASE_URL=url, MUNIMENT_ANSWER_TOKENS="80")
    house.prepare(migrate=False)
    house.start()
    yield house
    house.stop()
