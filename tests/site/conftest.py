"""A site's database: roles made by its own script, tables of the owner, people served by another role."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.postgres import Cluster
from tests.running import ROOT, RunningHouse
from tests.upkeep.installation import Installation

SCRIPT = ROOT / "deploy" / "postgres" / "roles.sql"
# As migrations leave it; others are made from it.
UNTOUCHED = "untouched"
ROLES = ("owner", "web", "worker", "sequencer")


def make_site(cluster: Cluster) -> None:
    """The site's roles, and its tables made by the owner."""
    cluster.script(SCRIPT, **{f"{role}_password": f"{role} of a test, long enough" for role in ROLES})
    owner = os.environ | {
        "MUNIMENT_DATABASE_URL": cluster.url("muniment_owner"),
        "DJANGO_SETTINGS_MODULE": "workers.settings",
    }
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=owner, check=True)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("site")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)  # the server runs as another account
    cluster = Cluster(folder / "postgres")
    cluster.start()
    try:
        make_site(cluster)
        cluster.sql(f"CREATE DATABASE {UNTOUCHED} TEMPLATE muniment OWNER muniment_owner")
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def empty_site(cluster: Cluster) -> Iterator[str]:
    """Name of a database of its own in which only migrations were made."""
    name = f"site_{uuid4().hex[:8]}"
    cluster.sql(f"CREATE DATABASE {name} TEMPLATE {UNTOUCHED} OWNER muniment_owner")
    yield name
    cluster.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def old_house(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """An embedded installation with something in every table. Never changed: tests work on copies."""
    folder = tmp_path_factory.mktemp("old")
    made = Installation(folder / "data", folder / "run")
    made.data.mkdir()
    made.run.mkdir(mode=0o700)
    assert made.seed(module="tests.site.old_house").wait(timeout=120) == 0
    return made


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
