"""Loads a cross-encoder and says what it is: python -m workers.engines.reranker_trial FOLDER

As `embedder_trial`, with the tokens that it reads and the milliseconds that a passage takes.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from muniment import switches
from workers import walls
from workers.engines.embedder_trial import UNUSABLE, said_of
from workers.engines.errors import ModelUnusable, NotAModel


@dataclass(frozen=True)
class Tried:
    """`max_tokens` of question and passage together."""

    max_tokens: int
    passage_ms: float


def try_reranker(folder: Path) -> Tried:
    """In a process of its own. Raises `NotAModel`."""
    try:
        return Tried(**said_of("workers.engines.reranker_trial", folder))
    except (ValueError, TypeError) as error:
        raise NotAModel(
            "The cross-encoder cannot be loaded: its files are damaged, incomplete, or need code of their "
            "own, and none is ever run."
        ) from error


def main() -> int:
    switches.switch_on()
    walls.shut_server()
    from workers.engines.rerank import Reranker

    try:
        reranker = Reranker(Path(sys.argv[1]))
    except ModelUnusable as error:
        sys.stderr.write(f"{error}\n")
        return UNUSABLE
    sys.stdout.write(json.dumps({"max_tokens": reranker.max_tokens, "passage_ms": reranker.passage_ms}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
