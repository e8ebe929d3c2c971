"""The compose file as the real compose reads it, with the settings of the example."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "deploy" / "env.example"
BINARY = Path(sys.executable).parent / "docker-compose"


def compose(*arguments: str, env_file: Path = EXAMPLE, **changed: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")}
    return subprocess.run(
        [str(BINARY), "--env-file", str(env_file), *arguments],
        cwd=ROOT,
        env={**own, **changed},
        capture_output=True,
        text=True,
        check=False,
    )


def site(**changed: str) -> dict[str, Any]:
    """Everything, with all profiles."""
    done = compose("--profile", "*", "config", "--format", "json", **changed)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
