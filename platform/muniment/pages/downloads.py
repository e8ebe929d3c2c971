"""Files that leave by a page."""

from __future__ import annotations

from typing import TypeVar

from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

Sent = TypeVar("Sent", bound=HttpResponseBase)


def as_download(response: Sent, name: str) -> Sent:
    """Always saved under that name, never shown by the browser in our name."""
    response.headers["Content-Disposition"] = str(content_disposition_header(True, name))
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
