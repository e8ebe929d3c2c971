"""How a module of ours is started as a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def command(module: str, *arguments: Path) -> list[str]:
    return [sys.executable, "-m", module, *(str(path.resolve()) for path in arguments)]


def environment() -> dict[str, str]:
    """This process's own, with the way to our modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(CHECKOUT / "platform"), str(CHECKOUT)))}
