"""The index with a route that tries what code in one of its libraries might; started as the real one is."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

from starlette.requests import Request

from tests import planted
from workers.engines import index_server


def attempts(request: Request) -> dict[str, Any]:
    """The parameter `folder` is the one above the index's own."""
    folder = Path(request.query_params["folder"])
    return planted.sockets() | {
        "own file": planted.outcome(lambda: planted.native_open(folder / "index" / "new", os.O_CREAT)),
        "new file": planted.outcome(lambda: planted.native_open(folder / "new", os.O_CREAT | os.O_WRONLY)),
        "original": planted.outcome(lambda: planted.native_open(folder / "original")),
        "program": planted.outcome(lambda: os.posix_spawn("/bin/true", ["true"], {})),
        "network": planted.network(),
        "threads": threading.active_count(),
    }


planted.plant(index_server, attempts)

if __name__ == "__main__":
    sys.exit(index_server.main())
