"""A whole site, started once: its servers, its roles and every part as compose starts them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.postgres import Cluster
from tests.running_site import RunningSite
from tests.upkeep.installation import Installation

# As migrations leave it; others are made from it.
UNTOUCHED = "untouched"


@pytest.fixture(scope="session")
def servers() -> Iterator[RunningSite]:
    """Servers, roles and tables, and no part of ours yet."""
    # Not below pytest's folder, which only its owner may enter: PostgreSQL runs as another account.
    folder = Path(tempfile.mkdtemp(prefix="muniment-site-"))
    folder.chmod(0o755)
    site = RunningSite(folder)
    try:
        site.serve()
        site.cluster.sql(f"CREATE DATABASE {UNTOUCHED} TEMPLATE muniment OWNER muniment_owner")
        yield site
    finally:
        site.stop()
        shutil.rmtree(folder, ignore_errors=True)


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
def cluster(servers: RunningSite) -> Cluster:
    """A site's database: roles made by its own script, tables of the owner."""
    return servers.cluster


@pytest.fixture(scope="session")
def site(servers: RunningSite) -> RunningSite:
    """All parts of a site, each as a role that owns nothing."""
    servers.prepare()
    servers.start()
    return servers
