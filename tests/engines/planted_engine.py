"""The engine with a route that tries what code out of a model's file might; started as the real one is."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests import planted
from workers.engines import engine_server


def attempts(new: Path) -> dict[str, Any]:
    return planted.sockets() | {
        "new file": planted.outcome(lambda: planted.native_open(new, os.O_CREAT | os.O_WRONLY)),
        "network": planted.network(),
        "threads": threading.active_count(),
    }


async def planted_route(request: Request) -> JSONResponse:
    return JSONResponse(attempts(Path(request.query_params["new"])))


def application(parts: Any) -> Starlette:
    made = original(parts)
    made.router.routes.append(Route("/planted", planted_route))
    return made


original = engine_server.application
engine_server.application = application

if __name__ == "__main__":
    sys.exit(engine_server.main())
