from __future__ import annotations

from pathlib import Path

import pytest
from pytest_django import Settings

from muniment.folders import services
from muniment.folders.models import Folder
from muniment.scope import Label, Role
from tests.factories import make_person, scope_for
from tests.folders.share import Share
from tests.house import House, make_house
from workers.upkeep import watching


@pytest.fixture
def house(db: None) -> House:
    return make_house()


@pytest.fixture
def place(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders may be mapped; data lies elsewhere, and nobody waits for files to settle."""
    from muniment.environment import Root

    data = tmp_path / "data"
    settings.DATA_DIR = data
    settings.BLOB_DIR, settings.UPLOAD_DIR = data / "blobs", data / "uploads"
    settings.WATCH_ROOTS = (Root("", tmp_path / "shares"),)
    monkeypatch.setattr(watching, "SETTLE_SECONDS", 0)
    place = tmp_path / "shares"
    (place / "hr").mkdir(parents=True)
    return place


@pytest.fixture
def share(house: House, place: Path) -> Share:
    """A mapped folder with nothing in it."""
    admin = make_person(house.tenant, roles=[Role.TENANT_ADMIN])
    folder = services.map_folder(scope_for(admin), house.library.id, str(place / "hr"), Label.CONFIDENTIAL)
    return Share(scope_for(admin), place / "hr", Folder.objects.get(pk=folder.pk))
