"""The embedded index behind a key, in the place of Qdrant's server and started by its script."""

from __future__ import annotations

import hmac
import os
import sys
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from workers.engines import index_server

OPEN = {"/", "/healthz", "/readyz", "/livez"}
KEY = os.environ.get("QDRANT__SERVICE__API_KEY", "")


class Keyed:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            given = Request(scope).headers.get("api-key", "")
            if not hmac.compare_digest(given, KEY):
                said = PlainTextResponse("Must provide an API key or an Authorization bearer token", 401)
                await said(scope, receive, send)
                return
        await self.app(scope, receive, send)


def application(store: Any) -> Any:
    made = original(store)
    made.add_middleware(Keyed)
    return made


original = index_server.application
index_server.application = application

if __name__ == "__main__":
    sys.exit(index_server.main())
