"""What every request gets first: an id. And what it gives back last: its connection."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from uuid_utils.compat import uuid7

from muniment.database import release_connections

REQUEST_ID = "request_id"


class ConnectionGivenBack:
    """Gives a connection that others may share back before the answer is sent, not after it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return self.get_response(request)
        finally:
            release_connections(pooled=True)


class RequestId:
    """Gives each request an id, in `request.request_id` and the answer's `X-Request-Id`.

    An id that the caller sends is not taken over: it would let two requests share one in the trail.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        setattr(request, REQUEST_ID, str(uuid7()))
        return self._named(request, self.get_response(request))

    @staticmethod
    def _named(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers["X-Request-Id"] = getattr(request, REQUEST_ID)
        # Pages hold what one person may see: no cache keeps them, on the way or at home.
        response.headers.setdefault("Cache-Control", "no-store")
        return response
