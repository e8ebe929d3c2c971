"""An administrator's own models: described once, with their hashes, in the models folder's catalogue."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from workers.engines import catalogue, embedder_folder, reranker_folder
from workers.engines.catalogue import Kind, Model, ModelFile
from workers.engines.chat_template import ChatTemplate, TemplateFailed
from workers.engines.embedder_trial import try_embedder
from workers.engines.errors import NotAModel
from workers.engines.gguf_header import Header
from workers.engines.gguf_parts import PART, part_name, parts_of
from workers.engines.gguf_trial import try_model
from workers.engines.reranker_trial import try_reranker

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")


def describe(
    source: Path,
    *,
    name: str,
    licence: str,
    family: str = "",
    context: int = 0,
    role: Kind = Kind.EMBEDDER,
) -> Model:
    """An entry for a GGUF file, for one in parts (their folder or one of them), or for a folder in the layout
    of sentence-transformers.

    A language model's header says family and context where they are not given; its chat template is tried.
    A folder's `role` is to embed or, as a cross-encoder, to rerank. What it reads at once and the length of
    its vectors is its own to say: it is loaded for that.
    Raises `NotAModel`.
    """
    if not NAME.fullmatch(name) or PART.fullmatch(f"{name}.gguf"):
        raise NotAModel("A model's name has small letters, digits, dots, dashes and underscores only.")
    if any(entry.name == name for entry in catalogue.models()):
        raise NotAModel(f"The catalogue has another model {name!r}: choose another name.")
    parts = parts_of(source)
    title = name
    if parts:
        header = _language_model(parts)
        kind, dimension = Kind.LANGUAGE, 0
        family, context = family or header.architecture, context or header.context
        title = f"{_plain(header.name) or name}, {header.quantisation}"
        files = tuple(
            _file(part, part_name(name, number, len(parts))) for number, part in enumerate(parts, start=1)
        )
    else:
        kind = role
        context, dimension = _reranker(source) if role is Kind.RERANKER else _embedder(source)
        files = tuple(
            _file(path, path.relative_to(source).as_posix()) for path in embedder_folder.files_of(source)
        )
    size = sum(file.bytes for file in files)
    return Model(
        name=name,
        title=title,
        family=family or "unknown",
        kind=kind,
        licence=licence,
        context=context,
        # The weights, and about as much again as small models need for context and work space.
        memory=size + size // 5 + 500_000_000,
        files=files,
        note="Added here.",
        dimension=dimension,
    )


def _language_model(parts: Sequence[Path]) -> Header:
    header = try_model(parts)
    try:
        ChatTemplate(header.template).require_usable()
    except TemplateFailed as error:
        raise NotAModel(str(error)) from error
    return header


def _plain(text: str) -> str:
    """Of a file's own words what can stand in a list."""
    return "".join(sign for sign in text if sign.isprintable())[:80].strip()


def _embedder(folder: Path) -> tuple[int, int]:
    """Tokens that it reads and the length of its vectors."""
    embedder_folder.require_safe(folder)
    tried = try_embedder(folder)
    return tried.max_tokens, tried.dimension


def _reranker(folder: Path) -> tuple[int, int]:
    """Tokens that it reads; it makes no vectors."""
    reranker_folder.require_safe(folder)
    return try_reranker(folder).max_tokens, 0


def enter(entry: Model) -> None:
    """Append the entry to the models folder's own catalogue."""
    rows = ["", "[[model]]"]
    for key in ("name", "title", "family", "licence", "note"):
        rows.append(f"{key} = {json.dumps(getattr(entry, key), ensure_ascii=False)}")
    rows.append(f'kind = "{entry.kind}"')
    for key in ("context", "memory", "dimension"):
        rows.append(f"{key} = {getattr(entry, key)}")
    rows.append("files = [")
    for file in entry.files:
        path = json.dumps(file.path, ensure_ascii=False)
        rows.append(f'    {{ path = {path}, bytes = {file.bytes}, sha256 = "{file.sha256}" }},')
    rows.append("]\n")
    Path(settings.MODELS_DIR).mkdir(parents=True, exist_ok=True)
    with catalogue.own_catalogue().open("a", encoding="utf-8") as file_:
        file_.write("\n".join(rows))


def _file(path: Path, name: str) -> ModelFile:
    return ModelFile(name, path.stat().st_size, catalogue.sha256_of(path))
