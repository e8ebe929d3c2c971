"""The administrator's pages about folders that libraries follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from muniment.documents import services as documents
from muniment.documents.models import Version
from muniment.environment import Root
from muniment.folders.models import File, Folder, FolderState
from muniment.scope import Label, Role
from muniment.tenancy.services import library_scope
from tests.factories import make_document, make_library, make_person, make_tenant
from tests.house import House, events, seen, signed_in


@pytest.fixture
def place(tmp_path: Path, settings: Settings) -> Path:
    settings.WATCH_ROOTS = (Root("", tmp_path),)
    (tmp_path / "hr").mkdir()
    return tmp_path / "hr"


@pytest.fixture
def client(house: House) -> Client:
    return signed_in(make_person(house.tenant, roles=[Role.TENANT_ADMIN]))


def _map(client: Client, house: House, path: object, label: int = 2) -> object:
    given = {"path": str(path), "library": str(house.library.id), "label": str(label)}
    return client.post(reverse("map-folder"), given)


@pytest.fixture
def folder(client: Client, house: House, place: Path) -> Folder:
    _map(client, house, place)
    return Folder.objects.get()


def _page(client: Client, folder: Folder) -> str:
    return client.get(reverse("folder", args=[folder.id])).content.decode()


def test_without_roots_the_page_says_how_to_allow_it(client: Client, settings: Settings) -> None:
    settings.WATCH_ROOTS = ()
    page = client.get(reverse("folders")).content.decode()
    assert "MUNIMENT_WATCH_ROOTS" in page
    assert "No folder is mapped" in page
    assert reverse("map-folder") not in page


def test_a_folder_is_mapped_and_listed(client: Client, house: House, place: Path) -> None:
    assert _map(client, house, f"{place}/").status_code == 302
    folder = Folder.objects.get()
    assert (folder.path, folder.label, folder.library_id) == (
        str(place),
        Label.CONFIDENTIAL,
        house.library.id,
    )
    page = client.get(reverse("folders")).content.decode()
    assert str(place) in page and "first look" in page and "confidential" in page
    (event,) = events("folder.mapped")
    assert event["details"] == {"library": str(house.library.id), "label": 2}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc", "not below one"),
        ("{place}/../../etc", "not below one"),
        ("relative", "not below one"),
        ("{place}/absent", "no such folder"),
        ("{place}\0", "Null characters"),
        ("", "required"),
    ],
)
def test_what_cannot_be_mapped_is_said_in_the_form(
    client: Client, house: House, place: Path, path: str, said: str
) -> None:
    response = _map(client, house, path.format(place=place))
    assert response.status_code == 422
    assert said in response.content.decode()
    assert not Folder.objects.exists()


def test_a_folder_above_or_below_a_mapped_one_is_refused_for_the_same_library(
    client: Client, house: House, place: Path, folder: Folder
) -> None:
    (place / "sub").mkdir()
    for path in (place, place / "sub", place.parent):
        assert "mapped to this library already" in _map(client, house, path).content.decode()
    other = make_library(house.tenant, "Attic")
    client.post(reverse("map-folder"), {"path": str(place), "library": str(other.id), "label": "1"})
    assert Folder.objects.count() == 2


def test_pause_go_on_and_unmap(client: Client, folder: Folder, house: House) -> None:
    make_document(house.library)
    client.post(reverse("pause-folder", args=[folder.id]))
    assert "Go on" in _page(client, folder)
    client.post(reverse("resume-folder", args=[folder.id]))
    assert "Pause" in _page(client, folder)
    client.post(reverse("unmap-folder", args=[folder.id]))
    folder.refresh_from_db()
    assert folder.state == FolderState.ENDED
    assert client.get(reverse("folder", args=[folder.id])).status_code == 404
    assert house.library.documents.filter(deleted_at=None).count() == 1
    for action in ("folder.paused", "folder.resumed", "folder.unmapped"):
        assert len(events(action)) == 1


def test_what_is_gone_is_confirmed_by_the_number_that_was_shown(client: Client, folder: Folder) -> None:
    Folder.objects.update(state=FolderState.STOPPED, trouble="vanished", missing=12)
    assert "Confirm that 12 files are gone" in _page(client, folder)
    url = reverse("confirm-folder", args=[folder.id])
    Folder.objects.update(missing=40)
    page = client.post(url, {"missing": "12"}, follow=True).content.decode()
    assert "changed in the meantime" in page
    assert Folder.objects.get().state == FolderState.STOPPED
    client.post(url, {"missing": "40"})
    found = Folder.objects.get()
    assert (found.state, found.confirmed) == (FolderState.FOLLOWED, 40)
    assert events("folder.confirmed")[0]["details"]["missing"] == 40


def test_the_report_says_of_each_file_what_the_upload_page_says(
    client: Client, folder: Folder, house: House
) -> None:
    document = make_document(house.library, "locked.pdf")
    scope = library_scope(house.library)
    failing = Version.objects.create(
        tenant=house.tenant.id, document=document, number=2, sha256="0" * 64, size=1
    )
    documents.begin_reading(failing)
    documents.fail(scope, failing, "encrypted")
    tenant = house.tenant.id
    File.objects.create(tenant=tenant, folder=folder, path="locked.pdf", document=document)
    File.objects.create(tenant=tenant, folder=folder, path="empty.txt", trouble="empty_file")
    File.objects.create(tenant=tenant, folder=folder, path="fine.txt")
    page = _page(client, folder)
    assert "protected by a password" in page and "The file is empty" in page
    assert "fine.txt" not in page
    assert "Not read" in client.get(reverse("folders")).content.decode()


def test_a_folder_nobody_has_looked_at_for_minutes_is_said(client: Client, folder: Folder) -> None:
    Folder.objects.update(tried_at=timezone.now() - timezone.timedelta(minutes=9))
    assert "no answer" in client.get(reverse("folders")).content.decode()


def test_only_an_administrator_comes_here(folder: Folder, house: House) -> None:
    urls = [reverse("folders"), reverse("folder", args=[folder.id])]
    posts = [reverse(f"{what}-folder", args=[folder.id]) for what in ("pause", "confirm", "unmap")]
    for person in (house.reader, house.curator, make_person(house.tenant, roles=[Role.OFFICER])):
        client = signed_in(person)
        assert {client.get(url).status_code for url in urls} == {403}
        assert {client.post(url, {"missing": "1"}).status_code for url in posts} == {403}
    assert Folder.objects.get().state == FolderState.FOLLOWED


def test_another_organisations_folder_looks_like_none(folder: Folder) -> None:
    stranger = signed_in(make_person(make_tenant(), roles=[Role.TENANT_ADMIN]))
    there = reverse("folder", args=[folder.id])
    nowhere = reverse("folder", args=[folder.library_id])
    assert seen(stranger.get(there)) == seen(stranger.get(nowhere))
    assert stranger.post(reverse("unmap-folder", args=[folder.id])).status_code == 404


def test_a_root_marked_for_one_organisation_is_no_root_for_another(
    house: House, place: Path, settings: Settings
) -> None:
    other = make_tenant()
    settings.WATCH_ROOTS = (Root(house.tenant.slug, place),)
    mine = signed_in(make_person(house.tenant, roles=[Role.TENANT_ADMIN]))
    theirs = signed_in(make_person(other, roles=[Role.TENANT_ADMIN]))
    assert str(place) in mine.get(reverse("folders")).content.decode()
    assert str(place) not in theirs.get(reverse("folders")).content.decode()
    settings.WATCH_ROOTS = (Root("", place),)
    assert str(place) not in mine.get(reverse("folders")).content.decode()
