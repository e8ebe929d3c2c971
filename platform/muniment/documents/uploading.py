"""The door for files: uploads in parts that go on where they were after a lost connection.

`POST /uploads` {name, size, library, replaces?} gives {id, url, offset, chunk}. `PATCH` of `url` with the
header `Upload-Offset` appends a part and gives {offset}, with the last part also {document}. `GET` and `HEAD`
tell the offset; `DELETE` cancels. Ask with `Accept: application/json` to get problems as `problem+json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from muniment.accounts.requests import scope_of_request
from muniment.documents import queries, uploads
from muniment.documents.models import Upload
from muniment.pages.errors import Problem, TooLarge
from muniment.scope import Scope


@dataclass(frozen=True)
class Announced:
    """What the browser says of a file before it sends it."""

    name: str
    size: int
    library: UUID
    replaces: UUID | None

    @classmethod
    def parse(cls, body: bytes) -> Announced:
        try:
            given = json.loads(body)
            name, size, replaces = given["name"], given["size"], given.get("replaces")
            library = UUID(given["library"])
            document = UUID(replaces) if replaces else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Problem from error
        if not isinstance(name, str) or type(size) is not int:
            raise Problem
        return cls(name, size, library, document)


@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    announced = Announced.parse(_body(request))
    upload = uploads.begin(scope, announced.library, announced.name, announced.size, announced.replaces)
    facts = {"url": reverse("upload", args=[upload.id]), "chunk": settings.UPLOAD_CHUNK_BYTES}
    return JsonResponse({**_state(upload, 0), **facts}, status=201)


@require_http_methods(["GET", "HEAD", "PATCH", "DELETE"])
def upload(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    if request.method == "DELETE":
        uploads.cancel(scope, upload_id)
        return HttpResponse(status=204)
    if request.method == "PATCH":
        uploads.append(scope, upload_id, _offset(request), _body(request))
    return _answer(_finished(scope, queries.upload(scope, upload_id)))


def _finished(scope: Scope, found: Upload) -> Upload:
    """A file that is there whole becomes its document, also where the process died just before that."""
    if not found.document_id and uploads.offset(found) == found.size:
        found.document = uploads.finish(scope, found.id)
    return found


def _answer(found: Upload) -> HttpResponse:
    at = uploads.offset(found)
    headers = {"Upload-Offset": str(at), "Upload-Length": str(found.size)}
    return JsonResponse(_state(found, at), headers=headers)


def _state(upload: Upload, at: int) -> dict[str, Any]:
    state: dict[str, Any] = {"id": str(upload.id), "offset": at}
    if upload.document_id:
        state["document"] = str(upload.document_id)
    return state


def _offset(request: HttpRequest) -> int:
    given = request.headers.get("Upload-Offset", "")
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        raise Problem
    return int(given)


def _body(request: HttpRequest) -> bytes:
    try:
        return request.body
    except RequestDataTooBig as error:
        limit = settings.UPLOAD_CHUNK_BYTES
        raise TooLarge(_("A part has at most %(limit)s bytes.") % {"limit": limit}) from error
