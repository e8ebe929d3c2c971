"""The models Muniment knows, where they lie, and whether the bytes there are the publisher's.

`models.toml` beside this file is the catalogue; an administrator's own models are listed in
`models.toml` of the models folder. A language model is a file, or its parts side by side; an embedder or a
cross-encoder (`reranker`) is a folder of files.
Nothing here fetches: that is `carriers`, which only the command `models` imports.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings

from workers.engines.errors import ModelDamaged, ModelMissing

SHIPPED = Path(__file__).with_name("models.toml")
PIECE = 1024 * 1024


class Kind(StrEnum):
    LANGUAGE = "language"
    EMBEDDER = "embedder"
    RERANKER = "reranker"


@dataclass(frozen=True)
class ModelFile:
    """`path` is relative to the model's folder, or to the models folder for a single file."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Hub:
    repository: str
    revision: str


@dataclass(frozen=True)
class Wheels:
    """A file is the members of `parts` packages, one after the other; {part} and {file} are filled in."""

    package: str
    version: str
    parts: int
    member: str


@dataclass(frozen=True)
class Model:
    """`context` in tokens, `memory` in bytes, `dimension` of an embedder's vectors (else 0)."""

    name: str
    title: str
    family: str
    kind: Kind
    licence: str
    context: int
    memory: int
    files: tuple[ModelFile, ...]
    tried: bool = False
    for_tests: bool = False
    note: str = ""
    dimension: int = 0
    hub: Hub | None = None
    wheels: Wheels | None = None

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def is_folder(self) -> bool:
        return self.kind is not Kind.LANGUAGE

    @property
    def sha256(self) -> str:
        """The file's hash; of several files the hash over their sorted lines `sha256  path`."""
        if len(self.files) == 1 and not self.is_folder:
            return self.files[0].sha256
        lines = sorted(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def place(self) -> Path:
        """Where it lies when it is there: a file (the first of a language model in parts), or the folder
        of an embedder or a cross-encoder."""
        folder = Path(settings.MODELS_DIR)
        return folder / (self.name if self.is_folder else self.files[0].path)

    def file_in(self, place: Path, file: ModelFile) -> Path:
        """The path of one of its files when the model lies at `place`."""
        return place / file.path if self.is_folder else place.with_name(PurePosixPath(file.path).name)


def models() -> list[Model]:
    """Every model of the catalogue, the administrator's own last."""
    listed = _read(SHIPPED)
    own = own_catalogue()
    return listed + (_read(own) if own.exists() else [])


def model(name: str) -> Model:
    """The catalogue's entry. Raises ModelMissing for a name that it does not have."""
    for entry in models():
        if entry.name == name:
            return entry
    raise ModelMissing(f"The catalogue has no model {name!r}: `manage.py models list` shows what there is.")


def path_of(name: str) -> Path:
    """Where the model lies, after its bytes were found to be the catalogue's.

    The hash is taken once and again whenever size or time of a file change.
    Raises ModelMissing and ModelDamaged.
    """
    entry = model(name)
    if not entry.place.exists():
        raise ModelMissing(f"The model {name} is not there: `manage.py models get {name}` fetches it.")
    verify(entry, entry.place)
    return entry.place


def exactly(name: str, sha256: str) -> Path:
    """The same for a model that has to be this very one. Raises ModelMissing and ModelDamaged."""
    if model(name).sha256 != sha256:
        raise ModelMissing(f"The model {name} that is known here is another one than was used before.")
    return path_of(name)


def verify(entry: Model, place: Path, read: Callable[[int], None] = lambda count: None) -> None:
    """Compare every file with the catalogue. `read` hears how many bytes were hashed. Raises ModelDamaged."""
    known = _verified(entry)
    seen: dict[str, list[Any]] = {}
    for file in entry.files:
        path = entry.file_in(place, file)
        again = f"`manage.py models get {entry.name}` fetches it again."
        size = path.stat().st_size if path.is_file() else -1
        if size != file.bytes:
            raise ModelDamaged(f"The model {entry.name} is not complete ({file.path}): {again}")
        stamp = [size, path.stat().st_mtime_ns, file.sha256]
        if known.get(file.path) != stamp and sha256_of(path, read) != file.sha256:
            raise ModelDamaged(
                f"The model {entry.name} holds other bytes than its publisher's ({file.path}): {again}"
            )
        seen[file.path] = stamp
    if seen != known:
        _remember(entry, seen)


def sha256_of(path: Path, read: Callable[[int], None] = lambda count: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            read(len(piece))
    return digest.hexdigest()


def state_of(entry: Model) -> str:
    """`there`, `damaged` or `missing`, without reading more than sizes where the hash is known."""
    if not entry.place.exists():
        return "missing"
    try:
        verify(entry, entry.place)
    except ModelDamaged:
        return "damaged"
    return "there"


def embedders_here() -> list[Model]:
    """The embedders whose bytes lie here and are the catalogue's."""
    return [entry for entry in models() if entry.kind is Kind.EMBEDDER and state_of(entry) == "there"]


def own_catalogue() -> Path:
    return Path(settings.MODELS_DIR) / "models.toml"


def _read(path: Path) -> list[Model]:
    with path.open("rb") as file:
        return [_entry(row) for row in tomllib.load(file).get("model", [])]


def _entry(row: dict[str, Any]) -> Model:
    files = tuple(ModelFile(**file) for file in row["files"])
    for file in files:
        inner = PurePosixPath(file.path)
        if inner.is_absolute() or ".." in inner.parts or len(file.sha256) != 64:
            raise ValueError(f"The catalogue's entry {row['name']} names an impossible file.")
    hub = Hub(**row["hub"]) if "hub" in row else None
    wheels = Wheels(**row["wheels"]) if "wheels" in row else None
    return Model(**{**row, "kind": Kind(row["kind"]), "files": files, "hub": hub, "wheels": wheels})


def _note_of(entry: Model) -> Path:
    return Path(settings.MODELS_DIR) / ".verified" / entry.name


def _verified(entry: Model) -> dict[str, list[Any]]:
    try:
        found = json.loads(_note_of(entry).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(entry: Model, seen: dict[str, list[Any]]) -> None:
    # A models folder that may only be read is fine: then every start takes the hash.
    with contextlib.suppress(OSError):
        note = _note_of(entry)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(seen))
