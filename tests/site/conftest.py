"""A whole site, started once: its servers, its roles and every part as compose starts them."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.postgres import Cluster
from tests.running_site import RunningSite, served
from tests.upkeep.installation import Installation

# As migrations leave it; others are made from it.
UNTOUCHED = "untouched"


@pytest.fixture(scope="session")
def servers() -> Iterator[RunningSite]:
    """Servers, roles and tables, and no part of ours yet."""
    with served() as site:
        site.cluster.sql(f"CREATE DATABASE {UNTOUCHED} TEMPLATE muniment OWNER muniment_owner")
        yield site


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
    made = Installation.in_folder(tmp_path_factory.mktemp("old"))
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
