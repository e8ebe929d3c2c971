"""Another server of OpenAI's API with a real model: llama-cpp-python's own chat, no code of ours.

    python -m tests.engines.plain_server MODEL CONTEXT KEY

Prints the port of the loopback that it listens on. Like most servers it tells neither its context nor how it
counts.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from llama_cpp import Llama
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.engines.engine_process import ENVIRONMENT, ROOT


@contextmanager
def plain_server(model: Path, context: int, key: str) -> Iterator[str]:
    """The server as a process; gives its address."""
    command = [sys.executable, "-m", "tests.engines.plain_server", str(model), str(context), key]
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        process.kill()


def application(model: Llama, key: str) -> Starlette:
    def refused(request: Request) -> bool:
        return request.headers.get("authorization") != f"Bearer {key}"

    async def models(request: Request) -> Response:
        if refused(request):
            return JSONResponse({"error": {"message": "no"}}, 401)
        return JSONResponse({"object": "list", "data": [{"id": "plain", "object": "model"}]})

    async def chat(request: Request) -> Response:
        if refused(request):
            return JSONResponse({"error": {"message": "no"}}, 401)
        body = await request.json()
        wanted = {name: body[name] for name in ("messages", "max_tokens", "temperature", "seed")}
        chunks = model.create_chat_completion(**wanted, stream=True)
        return StreamingResponse(lines(chunks), media_type="text/event-stream")

    routes = [Route("/v1/models", models), Route("/v1/chat/completions", chat, methods=["POST"])]
    return Starlette(routes=routes)


def lines(chunks: Any) -> Iterator[str]:
    for chunk in chunks:
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def main() -> None:
    path, context, key = sys.argv[1:]
    model = Llama(path, n_ctx=int(context), n_threads=2, verbose=False)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(application(model, key), log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main()
