"""The compose file as the real compose reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
EXAMPLE = ROOT / "deploy" / "env.example"

Compose = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def compose() -> Compose:
    """Runs compose with the example's settings and no others; `changed` are set beside them."""

    def run(*arguments: str, env_file: Path = EXAMPLE, **changed: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")}
        return subprocess.run(
            [str(BIN / "docker-compose"), "--env-file", str(env_file), *arguments],
            cwd=ROOT,
            env={**own, **changed},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def site(compose: Compose) -> dict[str, Any]:
    """Everything, with all profiles."""
    done = compose("--profile", "*", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="session")
def services(site: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = site["services"]
    return found
