"""The compose file of a site, read once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import compose as composed

ROOT = composed.ROOT
BIN = Path(sys.executable).parent

Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def compose() -> Compose:
    """Runs compose with the example's settings and no others; `changed` are set beside them."""
    return composed.compose


@pytest.fixture(scope="session")
def site() -> dict[str, Any]:
    """Everything, with all profiles."""
    return composed.site()


@pytest.fixture(scope="session")
def services(site: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = site["services"]
    return found
