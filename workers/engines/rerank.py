"""Question and passage to one number, with a cross-encoder's folder on this machine.

Load it in the process that uses it: torch does not survive a fork.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from muniment import switches
from workers.engines.errors import ModelUnusable, NotAModel
from workers.engines.reranker_folder import require_safe

switches.switch_on()

# E402: the switches count only before these imports.
import torch  # noqa: E402
from sentence_transformers import CrossEncoder  # noqa: E402
from transformers.utils.logging import disable_progress_bar  # noqa: E402

# Pairs evaluated at once: larger batches are no quicker on a CPU and pad more.
BATCH = 8
# A trial as long as a usual passage, with a short question before it.
TRIAL_QUESTION = "Who signs for the dose?"
TRIAL_PASSAGE = "The ward keeps a record of every dose, and the nurse on duty signs it before night. " * 12
TRIALS = 3


class Reranker:
    """A cross-encoder from a folder: no network, no code of the folder, safetensors only.

    `passage_ms` is how long this machine takes for a passage of usual length, measured here; `max_tokens` the
    longest pair that the model reads whole. Raises ModelUnusable.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]  # has no annotations
        if threads:
            torch.set_num_threads(threads)
        try:
            require_safe(folder)
        except NotAModel as error:
            raise ModelUnusable(str(error)) from error
        try:
            # What the folder names as the last function is not looked up: any name of torch could be there.
            # The number before it gives the same order.
            self._model = CrossEncoder(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
                activation_fn=torch.nn.Identity(),
            )
            self._model.eval()
            self.max_tokens = int(self._model.max_seq_length or 0)
            self.passage_ms = self._measured()
        # Every part of the folder has its own loader, and each its own errors.
        except Exception as error:
            raise ModelUnusable(
                "The cross-encoder's files are damaged or incomplete. Add it again."
            ) from error

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """One number a passage, in their order: the higher, the better it answers the question."""
        if not passages:
            return []
        pairs = [(question, passage) for passage in passages]
        found = self._model.predict(pairs, batch_size=BATCH, show_progress_bar=False)
        return [float(score) for score in found]

    def _measured(self) -> float:
        """Milliseconds, the median of a few batches after a first one that warms up."""
        passages = [TRIAL_PASSAGE] * BATCH
        self.scores(TRIAL_QUESTION, passages)
        seconds = []
        for _trial in range(TRIALS):
            begun = time.perf_counter()
            self.scores(TRIAL_QUESTION, passages)
            seconds.append(time.perf_counter() - begun)
        return median(seconds) * 1000 / BATCH
