"""The engine with a route that tries what code out of a model's file might; started as the real one is."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from starlette.requests import Request

from tests import planted
from workers.engines import engine_server


def attempts(request: Request) -> dict[str, Any]:
    new = Path(request.query_params["new"])
    return planted.sockets() | {
        "new file": planted.outcome(lambda: planted.native_open(new, os.O_CREAT | os.O_WRONLY)),
        "network": planted.network(),
        "threads": threading.active_count(),
    }


planted.plant(engine_server, attempts)

if __name__ == "__main__":
    sys.exit(engine_server.main())
