from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.look import Site
from tests.running import RunningHouse


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation of its own: what is done to it here, no other test should have to bear."""
    # The small model rambles; its answers need not be long.
    house = RunningHouse(Path(tmp_path_factory.mktemp("faults")), MUNIMENT_ANSWER_TOKENS="80")
    house.prepare()
    house.start()
    try:
        yield Site(house)
    finally:
        house.stop()


@pytest.fixture(autouse=True)
def _all_well_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins with every part ready."""
    if "site" in request.fixturenames:
        request.getfixturevalue("site").wait_for_all()
    yield
