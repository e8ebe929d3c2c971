"""Whether the part of this container serves: python -I -S healthy.py. The supervisor has asked it already.

Only the standard library, so that a container may ask every few seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

# The supervisor writes every two seconds.
STALE_SECONDS = 15


def trouble(state_file: Path) -> str:
    """What is wrong, as a sentence; empty when nothing is."""
    try:
        state = json.loads(state_file.read_text())
    except (OSError, ValueError):
        return "The supervisor has not started yet."
    if time.time() - state["updated"] > STALE_SECONDS:
        return "The supervisor does not write any more."
    down = [part for part in state["processes"] if part["state"] != "ready"]
    return "; ".join(f"{part['name']} is {part['state']} {part['reason']}".strip() for part in down)


if __name__ == "__main__":
    sys.exit(trouble(Path(os.environ["MUNIMENT_RUN"]) / "state.json") or 0)
