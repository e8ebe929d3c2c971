"""Qdrant Edge shards in one folder: one owner, a write-ahead log, exact search.

Layout: `FOLDER/lock`, and for each collection `FOLDER/<name>/collection.json` and `FOLDER/<name>/shard/`.

A write is in the log when it returns, so a killed process loses nothing that it acknowledged. The log
reaches the disk with the next `flush`: a power cut may cost what was written since. The server flushes
every few seconds, as a Qdrant server does.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from workers.engines.index_bodies import CreateCollection, QueryPoints, Scroll, Sparse, Upsert, Vector

# The shard holds the interpreter while it writes; larger pieces would make searches wait.
PIECE = 256
# Kilobytes. Never reached: an index graph is built at the cost of seconds in which nothing answers.
NEVER_INDEX = 10**9
DESCRIPTION = "collection.json"


class FolderInUse(Exception):
    """Another process owns the folder."""


class FolderUnreadable(Exception):
    """The folder, or a collection in it, cannot be opened."""


class BadVector(Exception):
    """A vector has a name or a length that the collection does not have."""


class Collection:
    """One shard. Writes are serialised; reads may run beside them."""

    def __init__(self, folder: Path) -> None:
        self.config = CreateCollection.model_validate_json((folder / DESCRIPTION).read_bytes())
        self._shard = edge.EdgeShard.load(str(folder / "shard"))
        self._writing = threading.Lock()
        self._written = 0
        self._flushed = 0
        if self._shard.optimize():  # rewrites segments that are mostly deleted points
            self._shard.flush()

    def upsert(self, body: Upsert) -> int:
        for point in body.points:
            self._check(point.vector.items())
        points = [point.to_edge() for point in body.points]
        pieces = [points[start : start + PIECE] for start in range(0, len(points), PIECE)]
        return self._write(*(edge.UpdateOperation.upsert_points(piece) for piece in pieces))

    def delete(self, where: edge.Filter) -> int:
        return self._write(edge.UpdateOperation.delete_points_by_filter(where))

    def set_payload(self, where: edge.Filter, payload: dict[str, Any]) -> int:
        return self._write(edge.UpdateOperation.set_payload_by_filter(where, payload))

    def create_field_index(self, field: str, kind: Any) -> int:
        return self._write(edge.UpdateOperation.create_field_index(field, kind))

    def query(self, body: QueryPoints) -> list[edge.ScoredPoint]:
        self._check(body.vectors())
        return self._shard.query(body.to_edge())

    def count(self, where: edge.Filter) -> int:
        return self._shard.count(edge.CountRequest(exact=True, filter=where))

    def scroll(self, body: Scroll) -> tuple[list[edge.Record], Any]:
        return self._shard.scroll(body.to_edge())

    def info(self) -> edge.ShardInfo:
        return self._shard.info()

    def flush(self) -> None:
        """Bring what was written to the disk; nothing to do when nothing was."""
        with self._writing:
            if self._flushed != self._written:
                self._shard.flush()
                self._flushed = self._written

    def close(self) -> None:
        with self._writing:
            self._shard.flush()
            self._shard.close()

    def _write(self, *operations: edge.UpdateOperation) -> int:
        with self._writing:
            for operation in operations:
                self._written += 1
                self._shard.update(operation)
            return self._written

    def _check(self, vectors: Iterable[tuple[str, Vector]]) -> None:
        for name, vector in vectors:
            if isinstance(vector, Sparse):
                if name not in self.config.sparse_vectors:
                    raise BadVector(f"Not existing vector name error: {name}")
            elif name not in self.config.vectors:
                raise BadVector(f"Not existing vector name error: {name}")
            elif len(vector) != self.config.vectors[name].size:
                expected = self.config.vectors[name].size
                raise BadVector(f"Vector dimension error: expected dim: {expected}, got {len(vector)}")


def own(folder: Path) -> int:
    """Make the folder this process's alone; gives the open lock. Raises `FolderInUse`, `FolderUnreadable`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderUnreadable("The index folder cannot be opened for writing.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise FolderInUse(
            "The index folder is in use by another process. Stop that one, or give this one another folder."
        ) from None
    return lock


class Store:
    """All collections of a folder that is `own`: no other process may open it meanwhile.

    Raises `FolderInUse` or `FolderUnreadable`.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder, self._lock = folder, lock
        self._creating = threading.Lock()
        # Left by a process that was killed while it made or dropped a collection.
        for path in folder.iterdir():
            if path.is_dir() and not (path / DESCRIPTION).exists():
                shutil.rmtree(path)
        self._collections = {path.parent.name: _open(path.parent) for path in folder.glob(f"*/{DESCRIPTION}")}

    def get(self, name: str) -> Collection | None:
        return self._collections.get(name)

    def create(self, name: str, body: CreateCollection) -> bool:
        """False when a collection of this name is there already."""
        with self._creating:
            if name in self._collections:
                return False
            folder = self._folder / name
            (folder / "shard").mkdir(mode=0o700, parents=True)
            edge.EdgeShard.create(str(folder / "shard"), _edge_config(body)).close()
            half = folder / "collection.part"
            half.write_text(body.model_dump_json())
            half.rename(folder / DESCRIPTION)
            self._collections[name] = _open(folder)
            return True

    def drop(self, name: str) -> bool:
        """False when there is no such collection. Who is just asking it is told that it broke."""
        with self._creating:
            collection = self._collections.pop(name, None)
            if collection is None:
                return False
            collection.close()
            # From here on it is not there, also for whoever opens the folder after a kill.
            (self._folder / name / DESCRIPTION).unlink()
            shutil.rmtree(self._folder / name)
            return True

    def flush(self) -> None:
        self._each(Collection.flush)

    def close(self) -> None:
        self._each(Collection.close)
        os.close(self._lock)

    def _each(self, act: Callable[[Collection], None]) -> None:
        for collection in list(self._collections.values()):
            act(collection)


def _open(folder: Path) -> Collection:
    try:
        return Collection(folder)
    except Exception as error:  # the shard raises nothing more precise
        if "WouldBlock" in str(error):
            raise FolderInUse(
                f"The collection {folder.name} is in use by another process. Stop that one first."
            ) from error
        raise FolderUnreadable(
            f"The collection {folder.name} in the index folder is damaged or was written by another version. "
            "Restore it from a backup, or remove it and index the documents again."
        ) from error


def _edge_config(body: CreateCollection) -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors={
            name: edge.EdgeVectorParams(size=vector.size, distance=edge.Distance.Cosine)
            for name, vector in body.vectors.items()
        },
        sparse_vectors={
            name: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf) for name in body.sparse_vectors
        },
        hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=16, full_scan_threshold=10_000),
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=NEVER_INDEX, default_segment_number=1),
        wal_enabled=True,
    )
