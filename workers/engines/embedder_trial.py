"""Loads an embedder and says what it is: python -m workers.engines.embedder_trial FOLDER

Prints its dimension, the tokens that it reads and its prompts, as JSON. A process of its own, walled in as
the engine is before anything of the folder is opened. Exit code 3 with a sentence on stderr: it is unusable.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muniment import switches
from workers import walls
from workers.engines import children
from workers.engines.errors import ModelUnusable, NotAModel

UNUSABLE = 3
# Loading a large one from a slow disk.
SECONDS = 600


@dataclass(frozen=True)
class Tried:
    """`dimension` of its vectors, `max_tokens` that it reads at once, what it wants before texts."""

    dimension: int
    max_tokens: int
    question_prompt: str
    passage_prompt: str


def try_embedder(folder: Path) -> Tried:
    """In a process of its own. Raises `NotAModel`."""
    try:
        return Tried(**said_of("workers.engines.embedder_trial", folder))
    except (ValueError, TypeError) as error:
        raise NotAModel(
            "The embedder cannot be loaded: its files are damaged, incomplete, or need code of their own, "
            "and none is ever run."
        ) from error


def said_of(module: str, folder: Path) -> dict[str, Any]:
    """What the module's process prints of the folder. Raises ValueError where that is nothing."""
    try:
        done = subprocess.run(
            children.command(module, folder),
            env=children.environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError("it does not come to an end") from error
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def main() -> int:
    switches.switch_on()
    walls.shut_server()
    from workers.engines.embed import PassageEmbedder

    try:
        embedder = PassageEmbedder(Path(sys.argv[1]))
        dimension = embedder.encode(["Ready?"]).shape[1]
    except ModelUnusable as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    tried = {"dimension": dimension, "max_tokens": embedder.max_tokens}
    prompts = {"question_prompt": embedder.question_prompt, "passage_prompt": embedder.passage_prompt}
    sys.stdout.write(json.dumps(tried | prompts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
