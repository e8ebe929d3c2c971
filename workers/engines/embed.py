"""Text to vectors with a sentence-transformers folder on this machine.

Load it in the process that uses it: torch does not survive a fork.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from muniment import switches
from workers.engines.embedder_folder import require_safe
from workers.engines.errors import ModelUnusable, NotAModel

switches.switch_on()

# E402: the switches count only before these imports.
import torch  # noqa: E402
from sentence_transformers import SentenceTransformer  # noqa: E402
from transformers.utils.logging import disable_progress_bar  # noqa: E402

from workers.engines.int8 import LEAST_LIKENESS, rounded_if_alike  # noqa: E402

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Padded tokens evaluated at once: on a CPU larger batches are no quicker and take more memory.
BATCH_TOKENS = 4096
# Short texts of mixed lengths: what padding costs in a larger batch is more than the batch saves.
SHORT_TOKENS = 512
# Texts whose tokens are counted at once, so that the lists of a long document stay small.
COUNT_TEXTS = 1024


class Embedder:
    """A sentence-transformers model from a folder: no network, no code of the folder, safetensors only.

    `threads` are torch's threads in this process, 0 for all cores. `max_tokens` is the longest text
    that the model reads whole. Raises ModelUnusable.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        disable_progress_bar()  # type: ignore[no-untyped-call]  # has no annotations
        if threads:
            torch.set_num_threads(threads)
        if not (folder / "modules.json").is_file():
            raise ModelUnusable("The embedder's folder is missing or incomplete. Fetch it again.")
        try:
            require_safe(folder)
        except NotAModel as error:
            raise ModelUnusable(str(error)) from error
        try:
            self._model = SentenceTransformer(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        # Every part of the folder has its own loader, and each its own errors.
        except Exception as error:
            raise ModelUnusable("The embedder's files are damaged or incomplete. Fetch it again.") from error
        self._model.eval()
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.max_tokens = int(self._model.max_seq_length or 0)
        if not (self.dimension and self.max_tokens):
            raise ModelUnusable("The embedder does not say how long its vectors and texts are.")
        # As the library itself chooses them.
        self.question_prompt = self._prompt("query")
        self.passage_prompt = self._prompt("document", "passage", "corpus")

    def _prompt(self, *names: str) -> str:
        """What the model wants before a text of this use; many want nothing."""
        found = (self._model.prompts.get(name) for name in (*names, self._model.default_prompt_name) if name)
        return next(filter(None, found), "")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the model would see it uncut: what marks its beginning and end included."""
        counts: list[int] = []
        for start in range(0, len(texts), COUNT_TEXTS):
            found = self._model.tokenizer(
                list(texts[start : start + COUNT_TEXTS]),
                truncation=False,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            counts += [len(ids) for ids in found["input_ids"]]
        return counts

    def token_ranges(self, text: str) -> list[tuple[int, int]]:
        """Where each token stands in the text, in order; marks of beginning and end have no place."""
        found = self._model.tokenizer(
            text, truncation=False, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return [(int(start), int(end)) for start, end in found["offset_mapping"]]

    def _encode(self, texts: Sequence[str], prompt: str, budget: int) -> NDArray[float32]:
        """Vectors of length one, shape (texts, dimension), in the order of `texts`."""
        vectors = torch.empty((len(texts), self.dimension))
        with torch.inference_mode():
            for batch in batches(self.count_tokens(texts), self.max_tokens, budget):
                features = self._model.preprocess([texts[i] for i in batch], prompt=prompt or None)
                features = {name: _to(value, self._model.device) for name, value in features.items()}
                found = self._model(features)["sentence_embedding"]
                vectors[batch] = torch.nn.functional.normalize(found, dim=1).float().cpu()
        return vectors.numpy()


class QuestionEmbedder(Embedder):
    def encode(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length one for each question, after the model's prompt for questions if it has one."""
        vectors = self._encode(texts, self.question_prompt, SHORT_TOKENS)
        return [[float(value) for value in vector] for vector in vectors]


class PassageEmbedder(Embedder):
    """Make it after the fork, in the process and thread that use it.

    With `int8` its layers are rounded to 8-bit integers where the vectors stay nearly the same; questions
    keep their floats. `likeness` is the mean cosine of vectors with and without, 1 where nothing is rounded.
    """

    likeness = 1.0

    def __init__(self, folder: Path, threads: int = 0, int8: bool = False) -> None:
        super().__init__(folder, threads)
        if int8:
            self._round()

    def _round(self) -> None:
        found = rounded_if_alike(self._model, lambda texts: torch.from_numpy(self.encode(texts)))
        kept = found >= LEAST_LIKENESS
        self.likeness = found if kept else 1.0
        logger.info("8-bit vectors are %.3f alike: %s", found, "used" if kept else "floats are used")

    def encode(self, texts: Sequence[str]) -> NDArray[float32]:
        """Vectors of length one, shape (texts, dimension), in the order of `texts`."""
        return self._encode(texts, self.passage_prompt, BATCH_TOKENS)


def batches(counts: Sequence[int], longest: int, budget: int) -> Iterator[list[int]]:
    """Indexes of texts in batches of like length, longest first, of at most `budget` padded tokens."""
    batch: list[int] = []
    width = 0
    for index in sorted(range(len(counts)), key=lambda i: -counts[i]):
        if batch and width * (len(batch) + 1) > budget:
            yield batch
            batch = []
        if not batch:
            width = min(counts[index], longest)
        batch.append(index)
    if batch:
        yield batch


def _to(value: object, device: torch.device) -> object:
    return value.to(device) if isinstance(value, torch.Tensor) else value
