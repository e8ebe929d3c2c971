"""What a folder in sentence-transformers' layout may hold: weights as safetensors, settings, words, no code.

Formats that can run code when they are opened (Python's pickle, and code itself) are never taken along. A
folder that cannot be used without them is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workers.engines.errors import NotAModel

# Other forms of the same weights, and code.
LEFT_OUT = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".ot", ".msgpack"}
LEFT_OUT |= {".onnx", ".xml", ".tflite", ".py", ".pyc", ".so", ".sh"}
# Of the library, by the last part of their names: older and newer releases keep them in different places.
WITH_WEIGHTS = {"Transformer", "Dense"}
NO_SAFETENSORS = (
    "The weights are not there as safetensors, the only format that is opened: convert them, or use another "
    "model."
)
MODULES = WITH_WEIGHTS | {"Pooling", "Normalize"}


def files_of(folder: Path) -> list[Path]:
    """What is taken of a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        path
        for path in paths
        if path.suffix.lower() not in LEFT_OUT
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def require_safe(folder: Path) -> None:
    """Raise `NotAModel` where something would have to be run, or weights are no safetensors."""
    modules = read_json(folder / "modules.json")
    if not isinstance(modules, list) or not modules:
        raise NotAModel("The folder is no embedder: it has no modules.json that can be read.")
    for module in modules:
        kind = str(module.get("type", "")) if isinstance(module, dict) else ""
        if not kind.startswith("sentence_transformers.") or kind.rpartition(".")[2] not in MODULES:
            raise NotAModel(
                "The model needs code of its own (modules.json), and none is ever run: use another model."
            )
        part = (folder / str(module.get("path", ""))).resolve()
        if not part.is_relative_to(folder.resolve()):
            raise NotAModel("The folder is no embedder: its modules.json names files outside of it.")
        if kind.rpartition(".")[2] in WITH_WEIGHTS and not any(part.glob("*.safetensors")):
            raise NotAModel(NO_SAFETENSORS)


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
