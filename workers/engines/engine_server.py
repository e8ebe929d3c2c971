"""The engine process: owns the language model and the embedder for questions, serves OpenAI's API.

    python -m workers.engines.engine_server --model FILE --model-name N --model-sha256 H \\
        --embedder FOLDER --embedder-name N --embedder-sha256 H --context 4096 --uds PATH

`POST /v1/chat/completions` (plain and streamed), `POST /v1/embeddings`, `POST /v1/rerank`,
`POST /tokenize`, `POST /trial`, `GET /props`, `GET /v1/models`, `GET /health` (503 while loading). While a
streamed request waits, comments of its stream say how many come first (`: queue 2`); `: prompt 812 300` says
that reading a prompt of 812 tokens begins, 300 of which are known already.

Before a model is loaded the process walls itself in: it serves the socket it listens on, opens no other,
sees no network and writes no file, whatever is in the model's bytes.

Who starts this has checked the hashes of the files. Exit code 3 and one sentence on stderr: a model
cannot be used, or the address is taken.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from muniment import switches
from workers import walls
from workers.engines.engine_app import Parts, application
from workers.engines.errors import ModelUnusable

log = logging.getLogger("muniment.engine")

CANNOT_START = 3
# A stream may last minutes; whoever stops the engine does not wait for it.
SHUTDOWN_SECONDS = 2


class CannotStart(Exception):
    """The process cannot serve; the message says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        switches.switch_on()
    except switches.SwitchedOff as off:
        sys.stderr.write(f"{off}\n")
        return CANNOT_START
    # llama.cpp's threads wait for each other many times a token. Spinning, they keep from the core just
    # who they wait for: beside other work, tokens then came four to thirty times more slowly.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    logging.basicConfig(level=logging.WARNING)
    options = _options(arguments)
    try:
        listener = _listen(options)
    except CannotStart as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT_START
    if missing := walls.shut_server().missing():
        log.warning("engine.walls_missing layers=%s", ",".join(missing))
    return _serve(Parts(options), listener)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="engine_server", description="Serve a language model and an embedder."
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", type=Path, help="GGUF file of the language model")
    which.add_argument("--no-model", action="store_true", help="serve embeddings only")
    parser.add_argument("--model-name", default="")
    parser.add_argument("--model-sha256", default="")
    parser.add_argument("--embedder", type=Path, required=True, help="sentence-transformers folder")
    parser.add_argument("--embedder-name", default="")
    parser.add_argument("--embedder-sha256", default="")
    parser.add_argument(
        "--also",
        nargs=3,
        action="append",
        default=[],
        metavar=("NAME", "SHA256", "FOLDER"),
        help="another embedder, loaded when it is first asked for",
    )
    parser.add_argument("--reranker", type=Path, help="folder of a cross-encoder")
    parser.add_argument("--reranker-name", default="")
    parser.add_argument("--reranker-sha256", default="")
    parser.add_argument("--context", type=int, default=4096, help="tokens of one prompt and its answer")
    parser.add_argument("--parallel", type=int, default=4, help="answers in work at once")
    parser.add_argument(
        "--cells", type=int, default=0, help="tokens of all that is in work together, at least --context"
    )
    parser.add_argument("--flash-attention", action="store_true", help="how attention is computed")
    parser.add_argument(
        "--kv-type",
        choices=["f16", "q8_0", "q4_0"],
        default="f16",
        help="how the context is kept; smaller ones want --flash-attention",
    )
    parser.add_argument("--threads", type=int, default=0, help="threads of llama.cpp; 0: all cores")
    parser.add_argument("--uds", type=Path, help="path of the unix socket to listen on")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on without --uds")
    parser.add_argument("--port", type=int, default=8090)
    return parser.parse_args(arguments)


def _serve(parts: Parts, listener: socket.socket) -> int:
    """Answer /health at once and load the models beside; returns the exit code."""
    server = uvicorn.Server(
        uvicorn.Config(
            application(parts),
            access_log=False,
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
    )
    unusable: list[str] = []

    def load() -> None:
        try:
            parts.load()
        except ModelUnusable as error:
            unusable.append(str(error))
        finally:
            server.should_exit = not parts.ready

    threading.Thread(target=load, name="loader", daemon=True).start()
    server.run(sockets=[listener])
    for sentence in unusable:
        sys.stderr.write(f"{sentence}\n")
    return CANNOT_START if unusable else int(not parts.ready)


def _listen(options: argparse.Namespace) -> socket.socket:
    """A listening socket, a unix one for its owner alone. Raises CannotStart."""
    try:
        if options.uds is None:
            return socket.create_server((options.host, options.port))
        _clear_stale(options.uds)
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(str(options.uds))
        finally:
            os.umask(before)
        listener.listen(128)
        return listener
    except OSError as error:
        raise CannotStart(f"The engine cannot listen on its address: {error.strerror or error}.") from error


def _clear_stale(path: Path) -> None:
    """Remove a socket that nobody serves any more. Raises CannotStart when somebody does."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise CannotStart("Another engine serves this address already. Stop it first.")
    path.unlink()


if __name__ == "__main__":
    sys.exit(main())
