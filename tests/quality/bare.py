"""The yardsticks: a library alone in its own process. A JSON line in is one measurement, out its seconds.

python -m tests.quality.bare model FILE CONTEXT     [[message, ...]] -> to the first word of the answer
python -m tests.quality.bare embedder FOLDER        [text, ...] -> to embed them all, defaults throughout
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from muniment.switches import switch_on


def model(file: str, context: str) -> Callable[[Any], None]:
    from llama_cpp import Llama

    llama = Llama(model_path=file, n_ctx=int(context), n_threads=os.cpu_count(), verbose=False)

    def first_word(messages: Any) -> None:
        llama.reset()
        for chunk in llama.create_chat_completion(messages, max_tokens=4, temperature=0.0, stream=True):
            if chunk["choices"][0]["delta"].get("content"):
                return

    return first_word


def embedder(folder: str) -> Callable[[Any], None]:
    from sentence_transformers import SentenceTransformer

    bare = SentenceTransformer(folder, local_files_only=True)
    return lambda texts: bare.encode(texts, show_progress_bar=False)


def main() -> None:
    measured = {"model": model, "embedder": embedder}[sys.argv[1]](*sys.argv[2:])
    for line in sys.stdin:
        asked = json.loads(line)
        begun = time.perf_counter()
        measured(asked)
        print(json.dumps(time.perf_counter() - begun), flush=True)


if __name__ == "__main__":
    switch_on()
    main()
