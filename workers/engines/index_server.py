"""The embedded passage index: the routes of Qdrant's REST API that our adapter uses, over Qdrant Edge.

    python -m workers.engines.index_server --uds PATH --folder DIR
    python -m workers.engines.index_server --host 127.0.0.1 --port 6333 --folder DIR

The stock `QdrantClient` cannot tell it from a server, except that every other route and parameter is
refused, and that a collection can only be searched with a filter. It has no key of its own: who can
reach the socket may read and write, so a socket is for its owner only and a host must be this machine.

Before a shard is opened the process walls itself in: it serves the socket it listens on, opens no other, sees
no network, and touches no file but those of its folder and of its libraries.

Exit codes: 0 after SIGTERM or SIGINT, 2 for wrong arguments, 3 when another process owns the folder,
4 when the folder or the address cannot be opened.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import logging
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as edge
import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from workers import walls
from workers.engines import index_bodies as bodies
from workers.engines.index_store import BadVector, Collection, FolderInUse, FolderUnreadable, Store, own

log = logging.getLogger("muniment.index")

# The release of Qdrant's REST API whose words are spoken here.
API_LEVEL = "1.20.0"
FLUSH_SECONDS = 5
MAX_BODY = 64 * 1024 * 1024
COLLECTION_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
KIND_NAMES = {kind: name for name, kind in bodies.FIELD_KINDS.items()}

B = TypeVar("B", bound=bodies.Body)
Handler = Callable[[Request], Awaitable[Any]]


class Health:
    """Whether the last flush reached the disk."""

    def __init__(self) -> None:
        self.writable = True


async def _read(request: Request, kind: type[B]) -> B:
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_BODY:
            raise HTTPException(413, "The request is larger than 64 MiB; send fewer points at once.")
    try:
        return await run_in_threadpool(kind.model_validate_json, bytes(received))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise HTTPException(400, f"Format error in JSON body: {place}: {first['msg']}") from None


def _collection(request: Request) -> Collection:
    name = request.path_params["name"]
    collection: Collection | None = request.app.state.store.get(name)
    if collection is None:
        raise HTTPException(404, f"Not found: Collection `{name}` doesn't exist!")
    return collection


def _parameters(request: Request, *, write: bool) -> None:
    """Refuse what we would not obey: every write is waited for, and a read has no parameters."""
    for name, value in request.query_params.items():
        if not (write and name == "wait" and value == "true"):
            raise HTTPException(400, f"Bad request: parameter {name}={value} is not served here")


def _answers(handler: Handler, *, write: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """Put a handler's value into the envelope that every answer of Qdrant has."""

    async def endpoint(request: Request) -> Response:
        started = time.perf_counter()
        _parameters(request, write=write)
        result = await handler(request)
        return JSONResponse({"result": result, "status": "ok", "time": time.perf_counter() - started})

    return endpoint


async def version(request: Request) -> Response:
    return JSONResponse({"title": "Muniment passage index", "version": API_LEVEL})


async def healthz(request: Request) -> Response:
    return PlainTextResponse("healthz check passed")


async def readyz(request: Request) -> Response:
    if not request.app.state.health.writable:
        return PlainTextResponse("the index cannot write to its disk", status_code=503)
    return PlainTextResponse("all shards are ready")


async def collection_exists(request: Request) -> Any:
    return {"exists": request.app.state.store.get(request.path_params["name"]) is not None}


async def create_collection(request: Request) -> Any:
    name = request.path_params["name"]
    if not COLLECTION_NAME.fullmatch(name):
        raise HTTPException(400, "Bad request: a collection's name is lower-case letters, digits and hyphens")
    body = await _read(request, bodies.CreateCollection)
    if not await run_in_threadpool(request.app.state.store.create, name, body):
        raise HTTPException(409, f"Wrong input: Collection `{name}` already exists!")
    return True


async def drop_collection(request: Request) -> Any:
    return await run_in_threadpool(request.app.state.store.drop, request.path_params["name"])


async def collection_info(request: Request) -> Any:
    collection = _collection(request)
    info = await run_in_threadpool(collection.info)
    config = collection.config.model_dump(exclude_none=True)
    params = {
        "vectors": config["vectors"],
        "sparse_vectors": config["sparse_vectors"],
        "shard_number": 1,
        "replication_factor": 1,
        "write_consistency_factor": 1,
        "on_disk_payload": True,
    }
    return {
        "status": "green",
        "optimizer_status": "ok",
        "points_count": info.points_count,
        "segments_count": info.segments_count,
        "indexed_vectors_count": info.indexed_vectors_count,
        "config": {
            "params": params,
            "hnsw_config": {**config["hnsw_config"], "ef_construct": 16, "full_scan_threshold": 10_000},
            "optimizer_config": {"default_segment_number": 1, "flush_interval_sec": FLUSH_SECONDS},
        },
        "payload_schema": {
            field: {"data_type": KIND_NAMES[index.data_type], "points": index.points}
            for field, index in info.payload_schema.items()
        },
    }


def _done(operation: int) -> dict[str, Any]:
    return {"operation_id": operation, "status": "completed"}


async def create_field_index(request: Request) -> Any:
    collection, body = _collection(request), await _read(request, bodies.CreateFieldIndex)
    return _done(await run_in_threadpool(collection.create_field_index, body.field_name, body.to_edge()))


async def upsert(request: Request) -> Any:
    collection, body = _collection(request), await _read(request, bodies.Upsert)
    return _done(await run_in_threadpool(collection.upsert, body))


async def delete(request: Request) -> Any:
    collection, body = _collection(request), await _read(request, bodies.Delete)
    return _done(await run_in_threadpool(collection.delete, body.filter.to_edge()))


async def set_payload(request: Request) -> Any:
    collection, body = _collection(request), await _read(request, bodies.SetPayload)
    return _done(await run_in_threadpool(collection.set_payload, body.filter.to_edge(), dict(body.payload)))


async def query_batch(request: Request) -> Any:
    collection, body = _collection(request), await _read(request, bodies.QueryBatch)
    answers = await run_in_threadpool(lambda: [collection.query(search) for search in body.searches])
    return [
        {"points": [{**_record(point), "score": point.score, "version": point.version} for point in points]}
        for points in answers
    ]


async def count(request: Request) -> Any:
    collection, body = _collection(request), await _read(request, bodies.Count)
    return {"count": await run_in_threadpool(collection.count, body.filter.to_edge())}


async def scroll(request: Request) -> Any:
    collection, body = _collection(request), await _read(request, bodies.Scroll)
    records, following = await run_in_threadpool(collection.scroll, body)
    return {
        "points": [_record(record) for record in records],
        "next_page_offset": None if following is None else str(following),
    }


def _record(point: edge.ScoredPoint | edge.Record) -> dict[str, Any]:
    return {"id": str(point.id), "payload": point.payload or {}}


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"status": {"error": message}, "time": 0.0}, status_code=status)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code in (404, 405) and error.detail in ("Not Found", "Method Not Allowed"):
        return _error(error.status_code, f"Not served here: {request.method} {request.url.path}")
    return _error(error.status_code, error.detail)


async def _bad_vector(request: Request, error: Exception) -> Response:
    return _error(400, f"Wrong input: {error}")


async def _broken(request: Request, error: Exception) -> Response:
    return _error(500, f"Service internal error: {error}")


async def _flush_often(store: Store, health: Health) -> None:
    while True:
        await asyncio.sleep(FLUSH_SECONDS)
        try:
            await run_in_threadpool(store.flush)
            health.writable = True
        except Exception:  # whatever it is, the disk does not have the last writes
            log.exception("index.flush_failed")
            health.writable = False


def application(store: Store) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        flusher = asyncio.create_task(_flush_often(store, app.state.health))
        yield
        flusher.cancel()
        await run_in_threadpool(store.close)

    at = "/collections/{name}"
    app = Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", version, methods=["GET"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
            Route(at, _answers(collection_info), methods=["GET"]),
            Route(at, _answers(create_collection), methods=["PUT"]),
            Route(at, _answers(drop_collection), methods=["DELETE"]),
            Route(f"{at}/exists", _answers(collection_exists), methods=["GET"]),
            Route(f"{at}/index", _answers(create_field_index, write=True), methods=["PUT"]),
            Route(f"{at}/points", _answers(upsert, write=True), methods=["PUT"]),
            Route(f"{at}/points/delete", _answers(delete, write=True), methods=["POST"]),
            Route(f"{at}/points/payload", _answers(set_payload, write=True), methods=["POST"]),
            Route(f"{at}/points/query/batch", _answers(query_batch), methods=["POST"]),
            Route(f"{at}/points/count", _answers(count), methods=["POST"]),
            Route(f"{at}/points/scroll", _answers(scroll), methods=["POST"]),
        ],
        exception_handlers={HTTPException: _refused, BadVector: _bad_vector, Exception: _broken},
    )
    app.state.store = store
    app.state.health = Health()
    return app


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="index_server", description="The embedded passage index.")
    parser.add_argument("--folder", type=Path, required=True, help="where the passages' vectors are kept")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--uds", help="path of the unix socket to serve, at most 107 bytes")
    where.add_argument("--port", type=int, help="TCP port to serve instead")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address of this machine for --port (%(default)s)"
    )
    arguments = parser.parse_args(argv)
    if arguments.uds and len(os.fsencode(arguments.uds)) > 107:
        parser.error("the socket's path is longer than 107 bytes; choose a shorter folder")
    try:
        if not ipaddress.ip_address(arguments.host).is_loopback:
            parser.error("the embedded index has no key, so it serves this machine only; use 127.0.0.1")
    except ValueError:
        parser.error("--host is an address such as 127.0.0.1")
    return arguments


class CannotListen(Exception):
    """The address cannot be opened; the message says what to do."""


def _listen(arguments: argparse.Namespace) -> socket.socket:
    """Called when the folder is ours, so a socket file that lies there belongs to nobody who lives."""
    try:
        if not arguments.uds:
            return socket.create_server((arguments.host, arguments.port), family=_family(arguments.host))
        Path(arguments.uds).unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listening.bind(arguments.uds)
        finally:
            os.umask(before)
    except OSError as error:
        raise CannotListen(f"The address cannot be opened ({error.strerror}); choose another.") from error
    return listening


def _wall_in(folder: Path) -> None:
    if missing := walls.shut_keeper(folder).missing():
        log.warning("index.walls_missing layers=%s", ",".join(missing))


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET


def _give_up(sentence: str, code: int) -> int:
    sys.stderr.write(sentence + "\n")
    return code


def main(argv: list[str] | None = None) -> int:
    arguments = _arguments(argv)
    try:
        lock = own(arguments.folder)
        listening = _listen(arguments)
        _wall_in(arguments.folder)  # before the shards are opened, which start threads
        store = Store(arguments.folder, lock)
    except FolderInUse as error:
        return _give_up(str(error), 3)
    except (FolderUnreadable, CannotListen) as error:
        return _give_up(str(error), 4)
    # uvicorn raises the signal again after its own shutdown, when everything is closed already.
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        application(store), log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    uvicorn.Server(config).run(sockets=[listening])
    return 0


if __name__ == "__main__":
    sys.exit(main())
