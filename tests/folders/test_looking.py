"""What a look at a mapped folder does to its library."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from muniment.audit.models import AuditEvent, AuditPrivate
from muniment.documents import services as documents
from muniment.documents.models import Document, Version
from muniment.environment import Root
from muniment.folders import services
from muniment.folders.models import File, Folder, FolderState
from muniment.jobs.models import OPEN_STATES, Job, Kind
from muniment.scope import Label, Role
from muniment.tenancy.services import library_scope
from tests.factories import grant, make_library, make_person, make_tenant, scope_for
from tests.folders.share import Share
from tests.house import House, events
from workers.upkeep import listing, watching


def test_a_new_file_becomes_a_document_with_the_label_of_the_mapping(share: Share, house: House) -> None:
    share.write("rules.txt")
    folder = share.look()
    document = share.documents()["rules.txt"]
    assert (document.label, document.added_by) == (Label.CONFIDENTIAL, None)
    assert share.library() == share.contents()
    assert Job.objects.filter(kind=Kind.INGEST, state__in=OPEN_STATES).count() == 1
    assert (folder.files, folder.waiting, folder.trouble) == (1, 0, "")
    assert folder.looked_at is not None


def test_the_mode_of_a_file_decides_nothing(share: Share, house: House) -> None:
    open_, closed = share.write("open.txt"), share.write("closed.txt", "Another.")
    open_.chmod(0o777)
    closed.chmod(0o400)
    share.look()
    assert {document.label for document in share.documents().values()} == {Label.CONFIDENTIAL}


def test_a_changed_file_becomes_the_next_version_of_its_document(share: Share) -> None:
    share.write("rules.txt")
    share.look()
    share.publish()
    first = share.documents()["rules.txt"]
    share.write("rules.txt", "Doors close at eleven.")
    share.look()
    again = share.documents()["rules.txt"]
    assert again.pk == first.pk
    assert list(again.versions.order_by("number").values_list("number", flat=True)) == [1, 2]
    assert share.library() == share.contents()


def test_a_file_that_was_only_touched_changes_nothing(share: Share) -> None:
    share.write("rules.txt")
    share.look()
    share.write("rules.txt")
    share.look()
    assert Version.objects.count() == 1
    assert File.objects.get().mtime_ns == (share.place / "rules.txt").stat().st_mtime_ns


def test_a_removed_file_takes_its_document_along(share: Share) -> None:
    path = share.write("rules.txt")
    share.write("other.txt", "Another.")
    share.look()
    path.unlink()
    share.look()
    assert set(share.documents()) == {"other.txt"}
    assert Document.objects.get(name="rules.txt").deleted_at is not None
    assert Job.objects.filter(kind=Kind.REMOVE).count() == 1


def test_the_trail_says_what_was_followed_and_keeps_paths_out_of_its_bodies(share: Share) -> None:
    path = share.write("people/salary of Ada.txt")
    share.write("other.txt")
    share.look()
    share.write("people/salary of Ada.txt", "More.")
    share.look()
    path.unlink()
    share.look()
    changes = [event["details"]["change"] for event in events("folder.followed")]
    assert sorted(changes) == ["added", "added", "changed", "removed"]
    assert [event["actor"]["kind"] for event in events("document.deleted")] == ["system"]
    assert not any(b"salary" in bytes(event.body) for event in AuditEvent.objects.all())
    assert AuditPrivate.objects.filter(field="path", value="people/salary of Ada.txt").count() == 3


def test_two_files_of_one_name_in_two_folders_are_two_documents(share: Share) -> None:
    share.write("a/rules.txt", "A")
    share.write("b/rules.txt", "B")
    share.look()
    assert set(share.documents()) == {"a/rules.txt", "b/rules.txt"}


def test_a_document_that_somebody_uploaded_is_left_alone(share: Share, house: House) -> None:
    from muniment.documents.uploads import upload_whole

    mine = upload_whole(scope_for(house.clerk), house.library.id, "rules.txt", [b"Mine."], 5)
    path = share.write("rules.txt")
    share.look()
    assert set(share.documents()) == {"rules.txt", "rules (2).txt"}
    path.unlink()
    share.write("other.txt")
    share.look()
    assert share.documents()["rules.txt"].pk == mine.pk


def test_what_programs_leave_and_what_is_hidden_is_left_alone(share: Share) -> None:
    for name in (".hidden", "~$letter.docx", "Thumbs.db", "big.zip.part", ".git/config", "x.TMP"):
        share.write(name)
    assert share.look().files == 0
    assert not share.documents()


def test_no_link_is_followed(share: Share, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("The key of the house.")
    (share.place / "file.txt").symlink_to(secret / "key.txt")
    (share.place / "folder").symlink_to(secret)
    share.look()
    assert not share.documents()
    assert share.troubles() == {"file.txt": "link", "folder": "link"}
    (share.place / "file.txt").unlink()
    share.look()
    assert share.troubles() == {"folder": "link"}


def test_a_folder_that_is_swapped_for_a_link_after_the_listing_gives_nothing_out(
    share: Share, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    inside = share.write("sub/key.txt", "Harmless.")
    shutil.copystat(inside, (secret / "key.txt").touch() or secret / "key.txt")
    (secret / "key.txt").write_text("Harmful!!")
    os.utime(secret / "key.txt", ns=(0, inside.stat().st_mtime_ns))
    real = listing.list_files

    def swapped(folder: int) -> listing.Listing:
        found = real(folder)
        shutil.rmtree(share.place / "sub")
        (share.place / "sub").symlink_to(secret)
        return found

    monkeypatch.setattr(listing, "list_files", swapped)
    share.look()
    assert not share.documents()


def test_a_mapped_folder_that_became_a_link_is_away(share: Share, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.txt").write_text("The key of the house.")
    share.place.rmdir()
    share.place.symlink_to(tmp_path / "secret")
    assert share.look().trouble == "away"
    assert not share.documents()


def test_a_pipe_in_the_folder_is_not_waited_for(share: Share) -> None:
    os.mkfifo(share.place / "pipe.txt")
    assert share.look().files == 0


@pytest.mark.timeout(20)
def test_a_pipe_that_took_a_files_place_is_not_waited_for(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = share.write("rules.txt")
    real = listing.list_files

    def swapped(folder: int) -> listing.Listing:
        found = real(folder)
        path.unlink()
        os.mkfifo(path)
        return found

    monkeypatch.setattr(listing, "list_files", swapped)
    share.look()
    assert not share.documents()


def test_a_file_that_is_still_being_written_waits_for_the_next_look(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = share.write("rules.txt", "Half of")
    real = listing.list_files

    def written_meanwhile(folder: int) -> listing.Listing:
        found = real(folder)
        with path.open("a") as file:
            file.write(" it")
        return found

    monkeypatch.setattr(listing, "list_files", written_meanwhile)
    share.look()
    assert not share.documents()
    monkeypatch.setattr(listing, "list_files", real)
    share.look()
    assert share.library() == share.contents()


def test_a_file_that_changes_while_it_is_read_waits_for_the_next_look(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = share.write("rules.txt", "x" * 100)
    real = watching._write

    def written_meanwhile(descriptor: int, piece: bytes) -> None:
        real(descriptor, piece)
        path.write_text("y" * 100)

    monkeypatch.setattr(watching, "_write", written_meanwhile)
    share.look()
    assert not share.documents()
    assert not list((Path(watching.blobs.settings.UPLOAD_DIR)).rglob("*.part"))


def test_what_cannot_be_taken_is_said_once_it_is_known_and_forgotten_with_its_file(
    share: Share, settings: Settings
) -> None:
    settings.UPLOAD_LIMIT_BYTES = 10
    share.write("empty.txt", "")
    large = share.write("large.txt", "x" * 11)
    share.look()
    assert share.troubles() == {"empty.txt": "empty_file", "large.txt": "upload_too_large"}
    share.write("empty.txt", "Now.")
    large.unlink()
    share.look()
    assert share.troubles() == {}
    assert set(share.documents()) == {"empty.txt"}


def test_a_raised_limit_lets_in_what_was_too_large(share: Share, settings: Settings) -> None:
    settings.UPLOAD_LIMIT_BYTES = 10
    share.write("large.txt", "x" * 11)
    share.look()
    settings.UPLOAD_LIMIT_BYTES = 100
    share.look()
    assert set(share.documents()) == {"large.txt"}
    assert share.troubles() == {}


def test_a_file_that_may_not_be_read_is_tried_again(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    share.write("rules.txt")
    real = listing.open_file

    def closed(folder: int, name: str) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(listing, "open_file", closed)
    share.look()
    assert share.troubles() == {"rules.txt": "no_access"}
    monkeypatch.setattr(listing, "open_file", real)
    share.look()
    assert share.library() == share.contents()


def test_nothing_is_taken_for_gone_below_a_folder_that_may_not_be_listed(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    share.write("closed/rules.txt")
    gone = share.write("open/other.txt", "Another.")
    share.look()
    gone.unlink()
    real = os.open

    def refusing(path: object, *args: object, **kwargs: object) -> int:
        if path == "closed" and "dir_fd" in kwargs:
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(listing.os, "open", refusing)
    share.look()
    assert set(share.documents()) == {"closed/rules.txt"}
    assert share.troubles() == {"closed/": "no_access"}
    monkeypatch.undo()


def test_a_folder_that_is_away_loses_nothing(share: Share) -> None:
    share.write("rules.txt")
    share.look()
    share.place.rename(share.place.with_name("elsewhere"))
    assert share.look().trouble == "away"
    assert set(share.documents()) == {"rules.txt"}
    share.place.with_name("elsewhere").rename(share.place)
    assert share.look().trouble == ""


def test_a_folder_whose_listing_breaks_off_loses_nothing(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    share.write("a/rules.txt")
    share.write("b/rules.txt", "Another.")
    share.look()
    real, seen = os.scandir, []

    def breaking(folder: int) -> object:
        seen.append(folder)
        if len(seen) > 1:
            raise OSError(116, "Stale file handle")
        return real(folder)

    monkeypatch.setattr(listing.os, "scandir", breaking)
    assert share.look().trouble == "away"
    monkeypatch.undo()
    assert len(share.documents()) == 2


def test_an_empty_folder_is_not_believed_until_somebody_confirms(share: Share) -> None:
    path = share.write("rules.txt")
    share.look()
    path.unlink()
    folder = share.look()
    assert (folder.trouble, folder.missing) == ("empty", 1)
    assert set(share.documents()) == {"rules.txt"}
    services.confirm(share.admin, folder.id, 1)
    assert share.look().trouble == ""
    assert not share.documents()


def test_a_marker_vouches_for_an_empty_folder_and_its_absence_for_an_absent_share(share: Share) -> None:
    marker, path = share.write(".muniment"), share.write("rules.txt")
    share.look()
    path.unlink()
    share.look()
    assert not share.documents()
    share.write("other.txt", "Another.")
    share.look()
    marker.unlink()
    share.write("local.txt", "What lies beneath the mount point.")
    assert share.look().trouble == "unmarked"
    assert set(share.documents()) == {"other.txt"}
    services.pause(share.admin, share.folder.id)
    services.resume(share.admin, share.folder.id)
    assert share.look().trouble == ""


def _write_many(share: Share, n: int) -> None:
    for number in range(n):
        share.write(f"{number}.txt", f"Text {number}.")


def test_more_than_half_gone_at_once_stops_the_folder_until_somebody_confirms(share: Share) -> None:
    _write_many(share, 20)
    share.look()
    for number in range(11):
        (share.place / f"{number}.txt").unlink()
    folder = share.look()
    assert (folder.state, folder.trouble, folder.missing) == (FolderState.STOPPED, "vanished", 11)
    assert len(share.documents()) == 20
    share.write("new.txt")
    share.look()
    assert len(share.documents()) == 20
    services.confirm(share.admin, folder.id, 11)
    share.look()
    assert share.library() == share.contents()
    paused = [event["details"] for event in events("folder.paused")]
    assert paused == [{"library": str(folder.library_id), "files": 20, "missing": 11}]


def test_what_was_confirmed_is_no_leave_for_more(share: Share) -> None:
    _write_many(share, 30)
    share.look()
    for number in range(16):
        (share.place / f"{number}.txt").unlink()
    share.look()
    services.confirm(share.admin, share.folder.id, 16)
    for number in range(16, 29):
        (share.place / f"{number}.txt").unlink()
    assert share.look().state == FolderState.STOPPED
    assert len(share.documents()) == 30


def test_half_and_few_are_people_tidying_up(share: Share) -> None:
    _write_many(share, 12)
    share.look()
    for number in range(10):
        (share.place / f"{number}.txt").unlink()
    assert share.look().state == FolderState.FOLLOWED
    assert len(share.documents()) == 2


def test_a_stopped_folder_that_is_whole_again_goes_on(share: Share) -> None:
    _write_many(share, 20)
    share.look()
    share.place.rename(share.place.with_name("elsewhere"))
    share.write("readme.txt", "Beneath the mount point.")
    share.look()
    shutil.rmtree(share.place)
    share.place.with_name("elsewhere").rename(share.place)
    services.resume(share.admin, share.folder.id)
    share.look()
    assert share.library() == share.contents()


def test_a_document_deleted_by_hand_stays_away(share: Share) -> None:
    share.write("rules.txt")
    share.write("other.txt", "Another.")
    share.look()
    share.publish()
    documents.delete_document(library_scope(share.folder.library), share.documents()["rules.txt"].pk)
    share.look()
    share.write("rules.txt", "Changed.")
    share.look()
    assert set(share.documents()) == {"other.txt"}
    assert share.troubles() == {"rules.txt": "taken_out"}
    (share.place / "rules.txt").unlink()
    share.look()
    share.write("rules.txt", "Changed.")
    share.look()
    assert set(share.documents()) == {"other.txt", "rules.txt"}


def test_a_document_moved_by_hand_stays_where_it_is(share: Share, house: House) -> None:
    attic = make_library(house.tenant, "Attic")
    grant(attic, house.curator, 2)
    path = share.write("rules.txt")
    share.write("other.txt", "Another.")
    share.look()
    share.publish()
    person = make_person(house.tenant, roles=[Role.CURATOR], clearance=Label.SECRET)
    grant(attic, person, 2)
    grant(house.library, person, 2)
    moved = share.documents()["rules.txt"]
    documents.move_document(scope_for(person), moved.pk, attic.pk)
    share.look()
    path.unlink()
    share.look()
    assert Document.objects.get(pk=moved.pk).deleted_at is None


def test_a_file_that_could_not_be_read_is_taken_again_when_it_changes(share: Share) -> None:
    share.write("rules.pdf", "no pdf")
    share.look()
    version = Version.objects.get()
    documents.begin_reading(version)
    documents.fail(library_scope(share.folder.library), version, "broken")
    documents.dismiss(library_scope(share.folder.library), version.pk)
    share.look()
    assert not share.documents()
    share.write("rules.pdf", "a better one")
    share.look()
    assert share.library() == share.contents()


def test_a_folder_mapped_again_makes_no_second_documents(share: Share) -> None:
    share.write("rules.txt")
    share.look()
    services.unmap(share.admin, share.folder.id)
    share.write("rules.txt", "Changed meanwhile.")
    share.look()
    assert Version.objects.count() == 1
    path = str(share.place)
    again = services.map_folder(share.admin, share.folder.library_id, path, Label.INTERNAL)
    assert again.pk == share.folder.pk
    share.look()
    assert Document.objects.count() == 1
    assert share.library() == share.contents()


def test_a_look_takes_only_what_the_queue_has_room_for(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_IN_QUEUE", 3)
    _write_many(share, 5)
    folder = share.look()
    assert (len(share.documents()), folder.waiting, folder.files) == (3, 2, 5)
    Job.objects.filter(kind=Kind.INGEST).update(state="done")
    assert share.look().waiting == 0
    assert share.library() == share.contents()


def test_a_look_ends_when_its_time_is_over(share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SECONDS_A_LOOK", -1)
    _write_many(share, 3)
    assert share.look().waiting == 3


def test_a_full_disk_is_said_and_nothing_is_lost(share: Share, settings: Settings) -> None:
    settings.FREE_DISK_BYTES = 1 << 60
    share.write("rules.txt")
    assert share.look().trouble == "disk_full"
    settings.FREE_DISK_BYTES = 0
    assert share.look().trouble == ""
    assert share.library() == share.contents()


def test_names_that_are_no_text_are_taken_too(share: Share) -> None:
    (Path(os.fsdecode(os.fsencode(share.place) + b"/caf\xe9.txt"))).write_text("Coffee.")
    share.look()
    share.look()
    assert set(share.documents()) == {"caf_xe9.txt"}
    assert Version.objects.count() == 1


def test_very_long_paths_are_said_and_deep_ones_keep_their_end(share: Share) -> None:
    share.write("/".join(["folder" * 20] * 4) + "/rules.txt")
    share.write("/".join(["folder" * 20] * 6) + "/rules.txt", "Another.")
    share.look()
    (name,) = share.documents()
    assert name.startswith("…/") and name.endswith("/rules.txt")
    assert list(share.troubles().values()) == ["long_path"]


def test_a_paused_folder_and_that_of_a_deleted_library_are_not_looked_at(share: Share) -> None:
    from muniment.folders.queries import followed
    from muniment.tenancy.services import system_scope

    scope = system_scope(share.folder.tenant)
    assert followed(scope).count() == 1
    services.pause(share.admin, share.folder.id)
    assert not followed(scope).exists()
    services.resume(share.admin, share.folder.id)
    documents.delete_library(share.admin, share.folder.library_id)
    assert not followed(scope).exists()


def test_a_folder_paused_during_a_look_gets_nothing_any_more(
    share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    share.write("rules.txt")
    real = watching.copied

    def paused(*args: object) -> str:
        services.pause(share.admin, share.folder.id)
        return real(*args)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(watching, "copied", paused)
    assert share.look().state == FolderState.PAUSED
    assert not share.documents()


def test_a_root_that_is_taken_from_the_settings_ends_the_looks(share: Share, settings: Settings) -> None:
    share.write("rules.txt")
    settings.WATCH_ROOTS = (Root("", share.place.parent.parent / "elsewhere"),)
    assert share.look().trouble == "folder_not_allowed"
    assert not share.documents()


def test_a_second_organisation_ends_the_looks_below_roots_that_name_none(
    share: Share, settings: Settings
) -> None:
    share.write("rules.txt")
    make_tenant()
    assert share.look().trouble == "folder_not_allowed"
    root = settings.WATCH_ROOTS[0].folder
    settings.WATCH_ROOTS = (Root(share.folder.library.tenant.slug, root),)
    assert share.look().trouble == ""


class Killed(BaseException):
    """Like the kernel's: nobody catches it."""


STAGES = {
    "while it is copied": (watching, "_write"),
    "before it is on the disk": (watching.blobs, "sync"),
    "before it counts": (services, "take"),
    "before its bytes are in place": (services.blobs, "keep"),
    "before its version": (services, "add_version"),
    "before its event": (services, "record"),
    "before the look is noted": (services, "note"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_look_that_dies_makes_no_double_document(
    share: Share, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, name = STAGES[stage]

    def kill(*args: object, **kwargs: object) -> None:
        raise Killed

    for text in ("First.", "Second."):
        share.write("rules.txt", text)
        with monkeypatch.context() as patch:
            patch.setattr(module, name, kill)
            with pytest.raises(Killed):
                share.look()
        share.look()
        share.look()
        assert share.library() == share.contents()
    assert Document.objects.count() == 1
    assert Version.objects.count() == 2


@pytest.mark.parametrize("name", ["delete_document", "record"])
def test_a_removal_that_dies_is_made_up_for(share: Share, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    share.write("other.txt", "Another.")
    path = share.write("rules.txt")
    share.look()
    path.unlink()

    def kill(*args: object, **kwargs: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(services, name, kill)
        with pytest.raises(Killed):
            share.look()
    share.look()
    assert share.library() == share.contents()
    assert len(events("document.deleted")) == 1


NAMES = st.sampled_from(["a.txt", "b.txt", "x/a.txt", "x/b.txt", "x/y/c.txt"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(["", "One.", "Two.", "Three."])),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.sampled_from(["look", "publish", "away"])),
)


@given(steps=st.lists(STEPS, max_size=14))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_changes_and_a_look_the_library_is_as_the_folder(
    share: Share, steps: list[tuple[str, ...]]
) -> None:
    """But for empty files, which no library takes: their document stays as it was."""
    _begin_anew(share)
    for kind, *values in steps:
        _do(share, kind, values)
    share.look()
    empty = {str(p.relative_to(share.place)) for p in share.place.rglob("*.txt") if not p.stat().st_size}
    library = {name: sha256 for name, sha256 in share.library().items() if name not in empty}
    assert library == share.contents()
    assert set(share.documents()) <= set(share.contents()) | empty


def _begin_anew(share: Share) -> None:
    shutil.rmtree(share.place)
    share.place.mkdir()
    share.write(".muniment")
    Folder.objects.filter(pk=share.folder.pk).update(confirmed=1000)
    share.look()


def _do(share: Share, kind: str, values: list[str]) -> None:
    paths = [share.place / value for value in values]
    if kind == "write":
        share.write(*values)
    elif kind == "remove":
        paths[0].unlink(missing_ok=True)
    elif kind == "rename" and paths[0].exists():
        paths[1].parent.mkdir(parents=True, exist_ok=True)
        paths[0].replace(paths[1])
    elif kind == "look":
        share.look()
    elif kind == "publish":
        share.publish()
    elif kind == "away":
        share.place.rename(share.place.with_name("elsewhere"))
        share.look()
        share.place.with_name("elsewhere").rename(share.place)
