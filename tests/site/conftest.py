"""A whole site, started once: its servers, its roles and every part as compose starts them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Cluster
from tests.running_site import RunningSite


@pytest.fixture(scope="session")
def servers() -> Iterator[RunningSite]:
    """Servers, roles and tables, and no part of ours yet."""
    # Not below pytest's folder, which only its owner may enter: PostgreSQL runs as another account.
    folder = Path(tempfile.mkdtemp(prefix="muniment-site-"))
    folder.chmod(0o755)
    site = RunningSite(folder)
    try:
        site.serve()
        yield site
    finally:
        site.stop()
        shutil.rmtree(folder, ignore_errors=True)


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
