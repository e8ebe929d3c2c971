"""What a cross-encoder's folder may hold: as an embedder's, weights as safetensors and no code.

A cross-encoder reads question and passage together and gives one number. It may lie in the layout of
sentence-transformers or, as most do, as a plain model with one label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workers.engines import embedder_folder
from workers.engines.embedder_folder import read_json
from workers.engines.errors import NotAModel

ARCHITECTURE = "ForSequenceClassification"


def require_safe(folder: Path) -> None:
    """Raise `NotAModel` where something would have to be run, or it is no cross-encoder."""
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise NotAModel("The folder is no cross-encoder: it has no config.json that can be read.")
    if "auto_map" in config:
        raise NotAModel(
            "The cross-encoder needs code of its own (config.json), and none is ever run: use another model."
        )
    kinds = config.get("architectures")
    if not isinstance(kinds, list) or not kinds or not str(kinds[0]).endswith(ARCHITECTURE):
        raise NotAModel(f"The folder is no cross-encoder: its config.json names no model {ARCHITECTURE}.")
    if _labels(config) != 1:
        raise NotAModel("The model sorts texts into classes: a cross-encoder for passages has one label.")
    if (folder / "modules.json").exists():
        embedder_folder.require_safe(folder)
    elif not any(folder.glob("*.safetensors")):
        raise NotAModel(embedder_folder.NO_SAFETENSORS)


def _labels(config: dict[str, Any]) -> int:
    """As transformers counts them; without a word there are two."""
    names = config.get("id2label")
    return len(names) if isinstance(names, dict) else int(config.get("num_labels") or 2)
