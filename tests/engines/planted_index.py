"""The index with a route that tries what code in one of its libraries might; started as the real one is."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests import planted
from workers.engines import index_server


def attempts(folder: Path) -> dict[str, Any]:
    """`folder` is the one above the index's own."""
    return planted.sockets() | {
        "own file": planted.outcome(lambda: planted.native_open(folder / "index" / "new", os.O_CREAT)),
        "new file": planted.outcome(lambda: planted.native_open(folder / "new", os.O_CREAT | os.O_WRONLY)),
        "original": planted.outcome(lambda: planted.native_open(folder / "original")),
        "program": planted.outcome(lambda: os.posix_spawn("/bin/true", ["true"], {})),
        "network": planted.network(),
        "threads": threading.active_count(),
    }


async def planted_route(request: Request) -> JSONResponse:
    return JSONResponse(attempts(Path(request.query_params["folder"])))


def application(store: Any) -> Any:
    made = original(store)
    made.router.routes.append(Route("/planted", planted_route))
    return made


original = index_server.application
index_server.application = application

if __name__ == "__main__":
    sys.exit(index_server.main())
