"""The viewer: a page of a document with the cited words marked, its picture, and the original file."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from muniment.accounts.queries import names_of
from muniment.accounts.requests import scope_of_request, wants_part
from muniment.database import release_connections
from muniment.documents import blobs, queries, services
from muniment.documents.forms import LabelForm, MoveForm
from muniment.documents.layout import Box, boxes_of, unpack_words
from muniment.documents.messages import warning
from muniment.documents.models import Page, Passage, Version
from muniment.documents.presentation import ACCEPT, page_name
from muniment.documents.reading import Marks, Span, blocks_of, window_of
from muniment.jobs.replies import ask_async
from muniment.pages.downloads import as_download
from muniment.pages.errors import NotFound
from muniment.scope import Scope

PDF = "application/pdf"
# Few widths, so that few pictures are drawn and kept.
PICTURE_WIDTHS = (640, 1280, 1920)
PICTURE_SECONDS = 15
# How long a picture may be fetched on the strength of its page's event.
PAGE_MINUTES = 10
SALT = "muniment.page-picture"
CHUNK = 256 * 1024
PAGE_TEXT_CHARS = 20_000


@dataclass(frozen=True)
class Cited:
    """What a citation points at: a passage, and the best sentence in it as offsets in the passage's text."""

    passage: Passage | None = None
    start: int = 0
    end: int = 0

    def marks(self) -> Marks:
        if self.passage is None:
            return Marks()
        first, last = self.passage.start, self.passage.end
        best = Span(first + max(0, self.start), first + max(0, self.end)).within(first, last)
        return Marks(Span(first, last), best)

    def query(self, page: int) -> str:
        """What the address of a page carries; nothing for pages that the passage does not reach."""
        if self.passage is None or not self.passage.page <= page <= self.passage.page_end:
            return ""
        parameters = QueryDict(mutable=True)
        parameters["passage"] = str(self.passage.id)
        if self.end > self.start:
            parameters["from"], parameters["to"] = str(self.start), str(self.end)
        return "?" + parameters.urlencode()


@require_GET
def page(request: HttpRequest, version_id: UUID, number: int) -> HttpResponse:
    scope = scope_of_request(request)
    version = queries.readable_version(scope, version_id)
    cited = _cited(version, request)
    at = _whole(request.GET.get("at", ""))
    return show_page(request, scope, version, queries.page(version, number), cited, at)


def show_page(
    request: HttpRequest,
    scope: Scope,
    version: Version,
    page: Page,
    cited: Cited,
    at: int | None = None,
    citation: dict[str, Any] | None = None,
) -> HttpResponse:
    """The page, or for htmx its part alone. The event is written before anything is sent.

    `citation` is {n, index, count, previous_url, next_url} for who steps through an answer's citations.
    """
    services.record_view(scope, version, page.number, cited.passage.id if cited.passage else None)
    alone = not wants_part(request)
    viewer = _context(scope, version, page, cited, at)
    viewer["citation"] = citation
    if alone:
        viewer |= _versions(scope, version)
    template = "documents/viewer.html" if alone else "documents/_viewer.html"
    return render(request, template, {"viewer": viewer, "alone": alone})


def _cited(version: Version, request: HttpRequest) -> Cited:
    given = request.GET.get("passage", "")
    if not given:
        return Cited()
    try:
        passage = queries.passage(version, UUID(given))
    except ValueError as error:
        raise NotFound from error
    start, end = _whole(request.GET.get("from", "")), _whole(request.GET.get("to", ""))
    return Cited(passage, start or 0, end or 0)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def page_url(version: Version, number: int, cited: Cited | None = None) -> str:
    return reverse("page", args=[version.id, number]) + (cited.query(number) if cited else "")


def _context(scope: Scope, version: Version, page: Page, cited: Cited, at: int | None) -> dict[str, Any]:
    document, last = version.document, version.page_count
    return {
        "document_name": document.name,
        "version": version.number,
        "label": document.label,
        "url": page_url(version, page.number, cited),
        "back_url": reverse("library", args=[document.library.slug]),
        "original_url": reverse("original", args=[version.id]),
        "page_number": page.number,
        "page_label": page_name(version.media_type, page.label),
        "page_count": last,
        "warnings": [said for code in version.warnings if (said := warning(code))],
        "previous_url": page_url(version, page.number - 1, cited) if page.number > 1 else "",
        "next_url": page_url(version, page.number + 1, cited) if page.number < last else "",
        **(_picture_context if _has_picture(version, page) else _text_context)(
            scope, version, page, cited, at
        ),
    }


def _has_picture(version: Version, page: Page) -> bool:
    can_be_drawn = version.media_type == PDF or version.media_type.startswith("image/")
    return can_be_drawn and bool(page.width) and bool(page.height)


def _picture_context(
    scope: Scope, version: Version, page: Page, cited: Cited, at: int | None
) -> dict[str, Any]:
    marks = cited.marks()
    words = unpack_words(page.words) if page.words else []
    light = boxes_of(words, marks.passage.start, marks.passage.end) if marks.passage else []
    strong = boxes_of(words, marks.best.start, marks.best.end) if marks.best else []
    return {
        "kind": "picture",
        "image_url": _picture_url(scope, version, page.number),
        "width": page.width,
        "height": page.height,
        "boxes": [_box(box, False) for box in light] + [_box(box, True) for box in strong],
        "page_text": queries.text_of(version, page.start, min(page.end, page.start + PAGE_TEXT_CHARS)),
    }


def _box(box: Box, best: bool) -> dict[str, Any]:
    return {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "best": best}


def _text_context(scope: Scope, version: Version, page: Page, cited: Cited, at: int | None) -> dict[str, Any]:
    marks = cited.marks()
    window = window_of(page, at, marks)
    here = page_url(version, page.number, cited)
    joint = "&" if "?" in here else "?"
    return {
        "kind": "text",
        "blocks": blocks_of(version, page, window, marks),
        "before_url": "" if window.before is None else f"{here}{joint}at={window.before}",
        "after_url": "" if window.after is None else f"{here}{joint}at={window.after}",
        "share": math.ceil(100 * (window.end - page.start) / max(1, page.end - page.start)),
    }


def _versions(scope: Scope, version: Version) -> dict[str, Any]:
    """What a page of its own shows below: the document's versions, and what this person may do with it."""
    document = version.document
    versions = list(queries.versions_of(document))
    names = names_of(scope, [one.added_by for one in versions if one.added_by])
    listed = [
        {
            "version": one.number,
            "url": page_url(one, 1),
            "current": one.id == version.id,
            "added": one.created_at,
            "added_by": names.get(one.added_by, "") if one.added_by else "",
        }
        for one in versions
    ]
    replace = {
        "create_url": reverse("uploads"),
        "library": document.library_id,
        "document": document.id,
        "accept": ACCEPT,
        "limit_bytes": settings.UPLOAD_LIMIT_BYTES,
    }
    may_add = document.library_id in scope.contributes
    return {
        "versions": len(versions),
        "answers_url": reverse("document-answers", args=[document.id]),
        "versions_list": listed,
        "replace": replace if may_add else None,
        "change": _change(scope, version),
    }


def _change(scope: Scope, version: Version) -> dict[str, Any] | None:
    """The forms for who may change the document; each leads back to the library."""
    document = version.document
    if not services.may_change(scope, document):
        return None
    curates = document.library_id in scope.curates
    return {
        "move_url": reverse("move-document", args=[document.id]),
        "move_form": MoveForm(scope, document.library, auto_id="move_%s"),
        "label_url": reverse("relabel-document", args=[document.id]) if curates else "",
        "label_form": LabelForm(scope, initial={"label": document.label}, auto_id="label_%s"),
        "delete_url": reverse("delete-document", args=[document.id]),
    }


def _ticket(scope: Scope, version: UUID, number: int) -> str:
    return f"{scope.person}|{scope.origin.session_ref}|{version}|{number}"


def _picture_url(scope: Scope, version: Version, number: int) -> str:
    """The picture's address, with the proof that the page's view is in the trail already."""
    ticket = _ticket(scope, version.id, number)
    proof = signing.TimestampSigner(salt=SALT).sign(ticket).removeprefix(f"{ticket}:")
    parameters = QueryDict(mutable=True)
    parameters["w"], parameters["seen"] = str(PICTURE_WIDTHS[1]), proof
    return f"{reverse('picture', args=[version.id, number])}?{parameters.urlencode()}"


def _seen(scope: Scope, version: UUID, number: int, proof: str) -> bool:
    try:
        signing.TimestampSigner(salt=SALT).unsign(
            f"{_ticket(scope, version, number)}:{proof}", max_age=PAGE_MINUTES * 60
        )
    except signing.BadSignature:
        return False
    return True


@require_GET
async def picture(request: HttpRequest, version_id: UUID, number: int) -> HttpResponse:
    """The page's picture. Asked for without its page it is a view of its own in the trail."""
    path, question = await sync_to_async(_open_picture)(request, version_id, number)
    if not await asyncio.to_thread(path.exists):
        await ask_async("pictures.render", "pictures", question, timeout=PICTURE_SECONDS)
    try:
        drawn = await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError as error:
        raise NotFound from error
    return HttpResponse(drawn, content_type="image/png", headers={"X-Content-Type-Options": "nosniff"})


def _open_picture(request: HttpRequest, version_id: UUID, number: int) -> tuple[Path, dict[str, Any]]:
    scope = scope_of_request(request)
    version = queries.readable_version(scope, version_id)
    if not _has_picture(version, queries.page(version, number)):
        raise NotFound
    width = _whole(request.GET.get("w", str(PICTURE_WIDTHS[1])))
    if width not in PICTURE_WIDTHS:
        raise NotFound
    if not _seen(scope, version.id, number, request.GET.get("seen", "")):
        services.record_view(scope, version, number)
    release_connections()
    path = blobs.pictures_folder(version.tenant, version.id) / f"{number}-{width}.png"
    question = {"tenant": str(version.tenant), "version": str(version.id), "page": number, "width": width}
    return path, question


@require_GET
async def original(request: HttpRequest, version_id: UUID) -> StreamingHttpResponse:
    """The file as it was uploaded: always a download, never shown by the browser in our name."""
    scope = scope_of_request(request)
    version = await sync_to_async(_open_original)(scope, version_id)
    response = StreamingHttpResponse(_bytes_of(scope, version), content_type="application/octet-stream")
    response.headers["Content-Length"] = str(version.size)
    return as_download(response, _file_name(version))


def _file_name(version: Version) -> str:
    """Without the folder that names have which came from one."""
    return PurePosixPath(version.document.name).name


def _open_original(scope: Scope, version_id: UUID) -> Version:
    version = queries.readable_version(scope, version_id)
    if not blobs.blob_path(version.tenant, version.sha256).exists():
        raise NotFound(_("The original of this document is not there any more."))
    services.record_download(scope, version)
    release_connections()
    return version


async def _bytes_of(scope: Scope, version: Version) -> AsyncIterator[bytes]:
    complete = False
    file = await asyncio.to_thread(blobs.blob_path(version.tenant, version.sha256).open, "rb")
    try:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk
        complete = True
    finally:
        file.close()
        await sync_to_async(_record_end)(scope, version, complete)


def _record_end(scope: Scope, version: Version, complete: bool) -> None:
    try:
        services.record_download_ended(scope, version, complete)
    finally:
        release_connections()
