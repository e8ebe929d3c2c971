"""What is foreign looks like what is absent, on every address that takes an id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import URLPattern

from muniment.documents import uploads, urls
from muniment.documents.models import Document, Upload, VersionState
from muniment.scope import Label
from tests.factories import PDF, make_document, make_library, make_version, scope_for
from tests.house import House, make_house, seen, signed_in

Ask = Callable[[Client, UUID], Any]
# By route: what is asked with an id. A new route with an id that is not here fails a test below.
VERSION_ROUTES: dict[str, Ask] = {
    "page": lambda client, id: client.get(f"/documents/{id}/pages/1"),
    "picture": lambda client, id: client.get(f"/documents/{id}/pages/1/picture"),
    "original": lambda client, id: client.get(f"/documents/{id}/original"),
    "retry": lambda client, id: client.post(f"/documents/{id}/retry"),
    "dismiss": lambda client, id: client.post(f"/documents/{id}/dismiss"),
}
DOCUMENT_ROUTES: dict[str, Ask] = {
    "document": lambda client, id: client.get(f"/documents/{id}"),
    "delete-document": lambda client, id: client.post(f"/documents/{id}/delete"),
    "move-document": lambda client, id: client.post(f"/documents/{id}/move"),
    "relabel-document": lambda client, id: client.post(f"/documents/{id}/label", {"label": "0"}),
    "library-documents": lambda client, id: client.post(
        "/libraries/handbook/documents", {"document": str(id), "action": "delete"}
    ),
}
UPLOAD_ROUTES: dict[str, Ask] = {
    "upload": lambda client, id: client.get(f"/uploads/{id}"),
    "upload-part": lambda client, id: client.patch(f"/uploads/{id}", b"x", headers={"Upload-Offset": "0"}),
    "upload-cancel": lambda client, id: client.delete(f"/uploads/{id}"),
    "uploads": lambda client, id: client.post(
        "/uploads", {"name": "a.txt", "size": 1, "library": str(id)}, content_type="application/json"
    ),
}
# These take a library's slug; test_library.py looks at them.
SLUG_ROUTES = {"library", "library-rows", "library-events"}
NO_ID = {"documents"}


def foreign_documents(house: House) -> list[Document]:
    """Of another tenant, of a library without a grant, above the clearance, and deleted."""
    deleted = make_document(house.library, "deleted.pdf", media_type=PDF)
    Document.objects.filter(pk=deleted.pk).update(deleted_at="2026-01-01T00:00Z")
    return [
        make_document(make_house().library, media_type=PDF),
        make_document(make_library(house.tenant, "Board"), media_type=PDF),
        make_document(house.library, "secret.pdf", label=Label.SECRET, media_type=PDF),
        deleted,
    ]


def test_every_route_is_looked_at() -> None:
    named = {pattern.name for pattern in urls.urlpatterns if isinstance(pattern, URLPattern)}
    assert named == {*VERSION_ROUTES, *DOCUMENT_ROUTES, "upload", "uploads", *SLUG_ROUTES, *NO_ID}


@pytest.mark.parametrize("route", VERSION_ROUTES)
def test_foreign_versions(house: House, route: str) -> None:
    client, ask = signed_in(house.curator), VERSION_ROUTES[route]
    absent = seen(ask(client, uuid4()))
    assert absent[0] == 404
    for document in foreign_documents(house):
        version = document.versions.get()
        assert seen(ask(client, version.id)) == absent
        version.refresh_from_db()
        assert version.state == VersionState.PUBLISHED


@pytest.mark.parametrize("route", ["retry", "dismiss"])
def test_foreign_failed_versions(house: House, route: str) -> None:
    client, ask = signed_in(house.curator), VERSION_ROUTES[route]
    absent = seen(ask(client, uuid4()))
    for document in foreign_documents(house):
        version = make_version(document, VersionState.FAILED, b"failed")
        assert seen(ask(client, version.id)) == absent
        version.refresh_from_db()
        assert version.state == VersionState.FAILED


@pytest.mark.parametrize("route", DOCUMENT_ROUTES)
def test_foreign_documents(house: House, route: str) -> None:
    client, ask = signed_in(house.curator), DOCUMENT_ROUTES[route]
    absent = seen(ask(client, uuid4()))
    assert absent[0] == 404
    for document in foreign_documents(house):
        before = (document.library_id, document.label)
        assert seen(ask(client, document.id)) == absent
        document.refresh_from_db()
        assert (document.library_id, document.label) == before


@pytest.mark.parametrize("route", UPLOAD_ROUTES)
def test_foreign_uploads_and_libraries(house: House, route: str) -> None:
    client, ask = signed_in(house.clerk), UPLOAD_ROUTES[route]
    absent = seen(ask(client, uuid4()))
    assert absent[0] == 404
    other = make_house()
    if route == "uploads":
        foreign = [other.library.id, make_library(house.tenant, "Board").id]
    else:
        begun = [(house.curator, house.library), (other.clerk, other.library)]
        foreign = [uploads.begin(scope_for(p), library.id, "a.txt", 1).id for p, library in begun]
    count = Upload.objects.count()
    for id in foreign:
        assert seen(ask(client, id)) == absent
    assert Upload.objects.count() == count


def test_replacing_a_foreign_document(house: House) -> None:
    client = signed_in(house.clerk)

    def ask(document: UUID) -> Any:
        body = {"name": "a.pdf", "size": 1, "library": str(house.library.id), "replaces": str(document)}
        return client.post("/uploads", body, content_type="application/json")

    absent = seen(ask(uuid4()))
    assert absent[0] == 404
    for document in foreign_documents(house):
        assert seen(ask(document.id)) == absent


def test_nobody_learns_nothing(house: House) -> None:
    document = make_document(house.library)
    for ask in VERSION_ROUTES.values():
        there, absent = ask(Client(), document.versions.get().id), ask(Client(), uuid4())
        assert there.status_code == absent.status_code == 302
