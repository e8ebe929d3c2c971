"""`manage.py watch` and the look by the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import redis
from django.core.management import CommandError, call_command
from pytest_django import Settings

from muniment.folders.models import Folder, FolderState
from muniment.scope import Label, Role
from tests.factories import make_person
from tests.folders.share import Share
from tests.house import House
from workers.upkeep import tasks, watching


@pytest.fixture
def watch(house: House, place: Path) -> Callable[..., str]:
    make_person(house.tenant, "ada", roles=[Role.TENANT_ADMIN, Role.SITE_ADMIN])

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command("watch", "--as", "ada", *arguments, stdout=out)
        return out.getvalue()

    return run


def test_a_folder_from_mapping_to_unmapping(watch: Callable[..., str], place: Path, house: House) -> None:
    assert "No folder is mapped" in watch("list")
    (place / "hr" / "rules.txt").write_text("Doors close at ten.")
    (place / "hr" / "empty.txt").touch()
    watch("add", str(place / "hr"), "--library", "handbook", "--label", "confidential")
    assert Folder.objects.get().label == Label.CONFIDENTIAL
    said = watch("look")
    assert "2 files, 0 waiting, 1 not read" in said
    assert (
        watch("report").strip() == f"{place}/hr/empty.txt: The file is empty. Check it and upload it again."
    )
    assert house.library.documents.get().name == "rules.txt"
    watch("remove", str(place / "hr"))
    assert Folder.objects.get().state == FolderState.ENDED
    assert "No folder is mapped" in watch("list")


def test_what_cannot_be_done_is_a_sentence(
    watch: Callable[..., str], place: Path, settings: Settings
) -> None:
    with pytest.raises(CommandError, match="not below one"):
        watch("add", "/etc", "--library", "handbook")
    with pytest.raises(CommandError, match="no library attic"):
        watch("add", str(place / "hr"), "--library", "attic")
    with pytest.raises(CommandError, match="is not mapped"):
        watch("remove", str(place / "hr"))
    settings.WATCH_ROOTS = ()
    assert "MUNIMENT_WATCH_ROOTS" in watch("list")


def test_who_is_no_administrator_may_not(watch: Callable[..., str], house: House) -> None:
    with pytest.raises(CommandError, match="Your role does not include this"):
        call_command("watch", "--as", house.curator.username, "list")


def test_the_clock_looks_at_each_folder_once_at_a_time(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that hangs holds up its own look alone, and no task."""
    hang, looks = threading.Event(), []

    def hanging(tenant: object, folder: object) -> None:
        looks.append(folder)
        hang.wait(20)

    monkeypatch.setattr(watching, "_look", hanging)
    watching.look_everywhere()
    watching.look_everywhere()
    assert looks == [share.folder.pk]
    hang.set()
    watching._looking[share.folder.pk].join()
    watching.look_everywhere()
    watching._looking[share.folder.pk].join()
    assert looks == [share.folder.pk] * 2


def test_the_clock_follows_what_lies_in_the_folder(
    transactional_db: None, broker: redis.Redis, share: Share
) -> None:
    share.write("rules.txt")
    tasks.watch()
    watching._looking[share.folder.pk].join()
    assert share.library() == share.contents()
