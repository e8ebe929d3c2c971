"""Retry, put away, delete, move, relabel: what is done with documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from muniment.accounts.models import Person
from muniment.documents import services
from muniment.documents.models import VERSION_MOVES, Document, Version, VersionState
from muniment.jobs.models import Job, Kind
from muniment.pages.errors import Conflict
from muniment.scope import Label, Role
from tests.factories import (
    grant,
    make_document,
    make_library,
    make_person,
    make_version,
    publish_version,
    scope_for,
)
from tests.house import House, events, signed_in


def failed(house: House, document: Document | None = None) -> Version:
    document = document or Document.objects.create(
        tenant=house.tenant.id,
        library=house.library,
        name="old.pdf",
        label=Label.INTERNAL,
        added_by=house.clerk.id,
    )
    version = make_version(document, VersionState.FAILED, b"old")
    Version.objects.filter(pk=version.pk).update(error_code="broken", reader_deaths=2)
    return version


def htmx(client: Client, url: str, data: dict[str, str] | None = None) -> Any:
    return client.post(url, data or {}, headers={"HX-Request": "true"})


def jobs_of(kind: Kind) -> list[object]:
    return list(Job.objects.filter(kind=kind, state="ready").values_list("subject", flat=True))


def test_trying_again_puts_the_file_back_to_work(house: House) -> None:
    version = failed(house)
    answer = htmx(signed_in(house.clerk), f"/documents/{version.id}/retry")
    assert (answer.status_code, answer.headers["HX-Trigger"]) == (204, "documents-changed")
    version.refresh_from_db()
    assert (version.state, version.error_code, version.reader_deaths) == (VersionState.RECEIVED, "", 0)
    assert jobs_of(Kind.INGEST) == [version.id]
    assert events("document.retried")[0]["details"]["version"] == str(version.id)


def test_without_scripts_one_is_back_in_the_library(house: House) -> None:
    answer = signed_in(house.clerk).post(f"/documents/{failed(house).id}/retry")
    assert answer.headers["Location"] == "/libraries/handbook/"


def test_only_what_failed_is_tried_again(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    answer = htmx(signed_in(house.clerk), f"/documents/{document.versions.get().id}/retry")
    assert answer.status_code == 409
    assert not Job.objects.exists()


def test_putting_a_failed_file_away_takes_the_document_with_it(house: House) -> None:
    version = failed(house)
    htmx(signed_in(house.clerk), f"/documents/{version.id}/dismiss")
    version.refresh_from_db()
    assert version.state == VersionState.DELETED
    assert version.document.deleted_at is not None
    assert jobs_of(Kind.REMOVE) == [version.id]
    assert len(events("document.deleted")) == 1


def test_putting_a_failed_new_version_away_leaves_what_was_published(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    version = failed(house, document)
    htmx(signed_in(house.clerk), f"/documents/{version.id}/dismiss")
    document.refresh_from_db()
    assert document.deleted_at is None
    assert document.current is not None
    assert jobs_of(Kind.REMOVE) == [version.id]


def test_what_is_published_is_not_put_away(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    signed_in(house.clerk).post(f"/documents/{document.versions.get().id}/dismiss")
    document.refresh_from_db()
    assert document.deleted_at is None


def test_deleting_hides_at_once_and_leaves_the_rest_to_a_job(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    version = document.versions.get()
    client = signed_in(house.clerk)
    client.post(f"/documents/{document.id}/delete")
    reader = signed_in(house.reader)
    assert "rules.txt" not in reader.get("/libraries/handbook/").content.decode()
    assert reader.get(f"/documents/{version.id}/pages/1").status_code == 404
    assert reader.get(f"/documents/{version.id}/original").status_code == 404
    assert jobs_of(Kind.REMOVE) == [version.id]
    assert events("document.deleted")[0]["object"]["ref"] == str(document.id)


def test_a_deleted_name_is_free_again(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    signed_in(house.clerk).post(f"/documents/{document.id}/delete")
    assert make_document(house.library).id != document.id


def test_moving_changes_who_reads_it_at_once(house: House) -> None:
    board = make_library(house.tenant, "Board", contributors=[house.clerk])
    document = make_document(house.library, added_by=house.clerk.id)
    signed_in(house.clerk).post(f"/documents/{document.id}/move", {"library": str(board.id)})
    document.refresh_from_db()
    assert document.library == board
    assert signed_in(house.reader).get(f"/documents/{document.id}").status_code == 404
    assert jobs_of(Kind.MOVE) == [document.id]
    assert events("document.moved")[0]["details"] == {
        "library": str(board.id),
        "library_before": str(house.library.id),
    }


def test_moving_to_where_one_may_not_add_is_refused(house: House) -> None:
    read_only = make_library(house.tenant, "Board", readers=[house.clerk])
    closed = make_library(house.tenant, "Closed")
    document = make_document(house.library, added_by=house.clerk.id)
    client = signed_in(house.clerk)
    for library, status in ((read_only.id, 403), (closed.id, 404), (uuid4(), 404), ("x", 404)):
        answer = client.post(f"/documents/{document.id}/move", {"library": str(library)})
        assert answer.status_code == status
    document.refresh_from_db()
    assert document.library == house.library


def test_moving_onto_a_name_that_is_taken_is_refused(house: House) -> None:
    board = make_library(house.tenant, "Board", contributors=[house.clerk])
    make_document(board)
    document = make_document(house.library, added_by=house.clerk.id)
    htmx(signed_in(house.clerk), f"/documents/{document.id}/move", {"library": str(board.id)})
    document.refresh_from_db()
    assert document.library == house.library


def test_a_curator_changes_the_label(house: House) -> None:
    document = make_document(house.library, label=Label.INTERNAL)
    signed_in(house.curator).post(f"/documents/{document.id}/label", {"label": "0"})
    document.refresh_from_db()
    assert document.label == Label.PUBLIC
    assert jobs_of(Kind.MOVE) == [document.id]
    assert events("document.labelled")[0]["details"]["label_before"] == Label.INTERNAL


@pytest.mark.parametrize("label", ["3", "4", "-1", "secret", ""])
def test_a_label_above_ones_clearance_or_of_no_meaning_is_refused(house: House, label: str) -> None:
    document = make_document(house.library)
    answer = signed_in(house.curator).post(f"/documents/{document.id}/label", {"label": label})
    assert answer.status_code == 422
    document.refresh_from_db()
    assert document.label == Label.INTERNAL


def test_who_added_a_document_does_not_change_its_label(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    assert signed_in(house.clerk).post(f"/documents/{document.id}/label", {"label": "0"}).status_code == 403


def test_a_document_labelled_above_ones_clearance_is_gone_at_once(house: House) -> None:
    document = make_document(house.library)
    board_member = make_person(house.tenant, roles=[Role.CURATOR], clearance=Label.SECRET)
    grant(house.library, board_member, 2)
    version = document.versions.get()
    reader = signed_in(house.reader)
    assert reader.get(f"/documents/{version.id}/pages/1").status_code == 200
    signed_in(board_member).post(f"/documents/{document.id}/label", {"label": "3"})
    assert reader.get(f"/documents/{version.id}/pages/1").status_code == 404


Act = Callable[[Client, Document], Any]
ACTS: dict[str, Act] = {
    "delete": lambda client, document: client.post(f"/documents/{document.id}/delete"),
    "move": lambda client, document: client.post(
        f"/documents/{document.id}/move", {"library": str(document.library_id)}
    ),
    "label": lambda client, document: client.post(f"/documents/{document.id}/label", {"label": "0"}),
    "choose": lambda client, document: client.post(
        "/libraries/handbook/documents", {"document": [str(document.id)], "action": "delete"}
    ),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("who", ["reader", "clerk"])
def test_who_neither_curates_nor_added_it_changes_nothing(house: House, act: str, who: str) -> None:
    document = make_document(house.library, added_by=house.curator.id)
    person: Person = getattr(house, who)
    assert ACTS[act](signed_in(person), document).status_code == 403
    document.refresh_from_db()
    assert (document.deleted_at, document.library, document.label) == (None, house.library, Label.INTERNAL)
    assert events("access.denied")


def test_retry_and_dismiss_are_for_who_added_it(house: House) -> None:
    version = failed(house)
    for act in ("retry", "dismiss"):
        assert signed_in(house.reader).post(f"/documents/{version.id}/{act}").status_code == 403
    version.refresh_from_db()
    assert version.state == VersionState.FAILED


def test_several_documents_are_deleted_or_moved_together(house: House) -> None:
    board = make_library(house.tenant, "Board", contributors=[house.curator])
    documents = [make_document(house.library, f"{n}.txt", [f"{n}"]) for n in range(4)]
    client = signed_in(house.curator)
    ids = [str(document.id) for document in documents]
    moved = client.post(
        "/libraries/handbook/documents", {"document": ids[:2], "action": "move", "library": str(board.id)}
    )
    assert moved.headers["Location"] == "/libraries/handbook/"
    client.post("/libraries/handbook/documents", {"document": ids[2:], "action": "delete"})
    assert set(board.documents.values_list("name", flat=True)) == {"0.txt", "1.txt"}
    assert not house.library.documents.filter(deleted_at=None).exists()
    assert "2 documents deleted." in client.get("/libraries/handbook/").content.decode()


def test_one_that_cannot_be_changed_stops_them_all(house: House) -> None:
    mine = make_document(house.library, "mine.txt", added_by=house.clerk.id)
    other = make_document(house.library, "other.txt")
    ids = [str(mine.id), str(other.id)]
    answer = signed_in(house.clerk).post(
        "/libraries/handbook/documents", {"document": ids, "action": "delete"}
    )
    assert answer.status_code == 403
    mine.refresh_from_db()
    assert mine.deleted_at is None
    assert not events("document.deleted")


@pytest.mark.parametrize(
    "data", [{}, {"action": "delete"}, {"action": "burn", "document": ["x"]}, {"action": "burn"}]
)
def test_a_choice_that_makes_no_sense_is_refused(house: House, data: dict[str, list[str]]) -> None:
    make_document(house.library)
    answer = signed_in(house.curator).post("/libraries/handbook/documents", data)
    assert answer.status_code in {404, 422}
    assert Document.objects.get().deleted_at is None


def test_a_get_changes_nothing(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    client = signed_in(house.clerk)
    for act in ("delete", "move", "label", "retry", "dismiss"):
        assert client.get(f"/documents/{document.id}/{act}").status_code == 405


def test_a_forged_form_changes_nothing(house: House) -> None:
    document = make_document(house.library, added_by=house.clerk.id)
    client = Client(enforce_csrf_checks=True)
    client.force_login(house.clerk)
    assert client.post(f"/documents/{document.id}/delete").status_code == 403
    document.refresh_from_db()
    assert document.deleted_at is None


@pytest.mark.parametrize("before", VersionState)
@pytest.mark.parametrize("after", VersionState)
def test_a_version_moves_only_as_the_table_says(
    house: House, before: VersionState, after: VersionState
) -> None:
    document = make_document(house.library)
    version = make_version(document, before, b"walk")
    if after in VERSION_MOVES[before]:
        services.move_version(version, after)
        assert version.state == after
    else:
        with pytest.raises(Conflict):
            services.move_version(version, after)
        version.refresh_from_db()
        assert version.state == before


def test_publishing_replaces_the_version_before_in_one_step(house: House) -> None:
    document = make_document(house.library)
    before = document.versions.get()
    after = make_version(document, VersionState.EMBEDDING, b"next")
    services.publish(scope_for(house.curator), after)
    before.refresh_from_db()
    document.refresh_from_db()
    assert (before.state, document.current) == (VersionState.SUPERSEDED, after)
    assert jobs_of(Kind.REMOVE) == [before.id]
    assert events("document.published")[0]["details"]["number"] == 2


def test_an_old_version_stays_readable_for_old_citations(house: House) -> None:
    document = make_document(house.library, texts=["Old words."])
    before = document.versions.get()
    publish_version(document, ["New words."])
    page = signed_in(house.reader).get(f"/documents/{before.id}/pages/1")
    assert "Old words." in page.content.decode()
