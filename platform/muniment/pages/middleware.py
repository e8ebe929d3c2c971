"""What every request gets first: an id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from uuid_utils.compat import uuid7

REQUEST_ID = "request_id"


class RequestId:
    """Gives each request an id, in `request.request_id` and the answer's `X-Request-Id`.

    An id that the caller sends is not taken over: it would let two requests share one in the trail.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        setattr(request, REQUEST_ID, str(uuid7()))
        if self._is_async:
            return self._later(request)
        return self._named(request, self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        return self._named(request, await self.get_response(request))  # type: ignore[misc]  # async here

    @staticmethod
    def _named(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response.headers["X-Request-Id"] = getattr(request, REQUEST_ID)
        # Pages hold what one person may see: no cache keeps them, on the way or at home.
        response.headers.setdefault("Cache-Control", "no-store")
        return response
