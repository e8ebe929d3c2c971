"""A language model in one GGUF file or in several parts (`NAME-00001-of-00003.gguf`), and whether it is one.

llama.cpp is given the first part and finds the others beside it by their names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from workers.engines.errors import NotAModel
from workers.engines.gguf_header import Header, read_header

PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
MAX_PARTS = 999
MAX_LAYERS = 4096
ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
# What `general.type` of a whole model is; older files do not have it.
WHOLE = ("", "model")


def part_name(stem: str, number: int, count: int) -> str:
    """`number` counts from 1; a single file has no number in its name."""
    return f"{stem}-{number:05d}-of-{count:05d}.gguf" if count > 1 else f"{stem}.gguf"


def parts_of(source: Path) -> list[Path]:
    """The files of the model that a file is, or is a part of, or that lies in a folder.

    Empty for a folder without GGUF files. Raises `NotAModel` where a part is missing, or a folder has several
    models.
    """
    if not source.is_dir():
        return _beside(source)
    found = sorted(path for path in source.glob("*.gguf") if path.is_file())
    # Beside an embedder its weights may lie in other forms, too.
    if not found or (source / "modules.json").exists():
        return []
    parts = _beside(found[0])
    if len(parts) < len(found):
        raise NotAModel("The folder holds several models: name the file, of one in parts the first part.")
    return parts


def _beside(file: Path) -> list[Path]:
    named = PART.fullmatch(file.name)
    count = int(named["count"]) if named else 1
    if not named or count < 2:
        return [file]
    if count > MAX_PARTS:
        raise NotAModel(f"The model has {count} parts by its name, more than {MAX_PARTS}.")
    parts = [file.with_name(part_name(named["stem"], number, count)) for number in range(1, count + 1)]
    missing = [path.name for path in parts if not path.is_file()]
    if missing:
        raise NotAModel(
            f"{len(missing)} of {count} parts of the model are missing ({missing[0]}): "
            "put all into one folder."
        )
    return parts


def read_model(source: Path) -> Header:
    """Header of the language model at `source`, with the tensors of all its parts.

    Raises `NotAModel`, and OSError where a file cannot be read.
    """
    return joined([read_header(part) for part in parts_of(source)])


def joined(headers: Sequence[Header]) -> Header:
    """One header for a model in parts. Raises `NotAModel` where they do not belong together, or the whole is
    no language model that can be used."""
    first, tensors = headers[0], tuple(tensor for header in headers for tensor in header.tensors)
    if [(header.part, header.parts) for header in headers] != [
        (n, len(headers)) for n in range(len(headers))
    ]:
        raise NotAModel(
            f"The file is a part of a model of {first.parts}: the files must keep their names "
            f"({part_name('NAME', 1, max(first.parts, 2))}) and lie in one folder."
        )
    if len({tensor.name for tensor in tensors}) < len(tensors) or len(tensors) != first.all_tensors:
        raise NotAModel("The parts are not of one model, or one of them is damaged. Fetch them again.")
    _require_language_model(first)
    return replace(first, tensors=tensors)


def _require_language_model(header: Header) -> None:
    if header.type not in WHOLE:
        raise NotAModel(
            f"The GGUF file is no whole model but of the type {header.type[:40]!r}. "
            "Take the model's own file."
        )
    if not ARCHITECTURE.fullmatch(header.architecture):
        raise NotAModel("The GGUF file does not say which family its model is of. Take another file of it.")
    if not header.template:
        raise NotAModel(
            "The model file has no chat template: it is a base model. Choose an instruction-tuned one."
        )
    sizes = (header.context, header.embedding, header.vocabulary)
    if not all(sizes) or not 1 <= header.layers <= MAX_LAYERS or not header.all_tensors:
        raise NotAModel("The GGUF file holds no language model that can be used: it lacks sizes or weights.")
