"""The page of a library: what is in work, what is there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from muniment.documents import services
from muniment.documents.forms import KINDS
from muniment.documents.models import Document, Version, VersionState
from muniment.documents.presentation import ACCEPT
from muniment.documents.progress import Progress, work
from muniment.jobs import services as jobs
from muniment.jobs.models import Kind
from muniment.jobs.streams import Entry
from muniment.scope import Label, Role, Scope
from tests.factories import grant, make_document, make_library, make_person, make_version, scope_for
from tests.house import House, make_house, seen, signed_in


def unfinished(house: House, name: str, state: VersionState, size: int = 1_000_000) -> Version:
    document = Document.objects.create(
        tenant=house.tenant.id,
        library=house.library,
        name=name,
        label=Label.INTERNAL,
        added_by=house.clerk.id,
    )
    version = make_version(document, state, name.encode())
    version.size = size
    version.save()
    if state == VersionState.RECEIVED:
        jobs.create(scope_for(house.clerk), Kind.INGEST, version.id)
    return version


def step(version: Version, stage: str, done: int, total: int) -> Entry:
    return Entry(
        "1-1", "progress", {"version": str(version.id), "stage": stage, "done": done, "total": total}
    )


def shown(scope: Scope, library: UUID, progress: Progress) -> dict[str, Any]:
    return work(scope, library, lambda: progress).shown_to(scope)


def learned(house: House, seconds_per_megabyte: float) -> None:
    """Three documents that were read before, each at this rate."""
    for name in ("a.txt", "b.txt", "c.txt"):
        version = make_document(house.library, name, [name]).versions.get()
        now = timezone.now()
        Version.objects.filter(pk=version.pk).update(
            size=1_000_000, started_at=now - timedelta(seconds=seconds_per_megabyte), published_at=now
        )


def test_it_shows_what_is_there(house: House) -> None:
    make_document(house.library, "rules.txt", ["One.", "Two."], added_by=house.clerk.id)
    page = signed_in(house.reader).get("/libraries/handbook/")
    assert page.status_code == 200
    body = page.content.decode()
    assert "rules.txt" in body
    assert house.clerk.name in body
    assert page.context["library"]["pages"] == 2
    assert page.context["upload"] is None


def test_who_contributes_finds_the_drop_zone(house: House) -> None:
    page = signed_in(house.clerk).get("/libraries/handbook/")
    assert page.context["upload"]["create_url"] == "/uploads"
    assert 'data-module="upload"' in page.content.decode()


def test_only_who_curates_can_choose_rows(house: House) -> None:
    make_document(house.library)
    for person, can in ((house.reader, False), (house.clerk, False), (house.curator, True)):
        body = signed_in(person).get("/libraries/handbook/").content.decode()
        assert ('type="checkbox" name="document"' in body) is can


def test_a_name_is_shown_as_text_whatever_is_in_it(house: House) -> None:
    make_document(house.library, "<script>alert(1)</script>.txt", added_by=house.clerk.id)
    unfinished(house, "<img src=x onerror=alert(1)>.txt", VersionState.FAILED)
    body = signed_in(house.clerk).get("/libraries/handbook/").content.decode()
    assert "<script>alert" not in body
    assert "<img src=x" not in body


def test_names_are_in_the_order_people_expect(house: House) -> None:
    for name in ("b.txt", "A.txt", "C.txt"):
        make_document(house.library, name, [name])
    page = signed_in(house.reader).get("/libraries/handbook/rows")
    assert [row["name"] for row in page.context["documents"]] == ["A.txt", "b.txt", "C.txt"]


def test_finding_by_name_type_and_label(house: House) -> None:
    make_document(house.library, "Noise rules.txt")
    make_document(house.library, "Noise survey.xlsx", ["x"])
    make_document(house.library, "Public menu.txt", ["y"], label=Label.PUBLIC)
    client = signed_in(house.reader)

    def found(query: str) -> list[str]:
        return [row["name"] for row in client.get(f"/libraries/handbook/rows?{query}").context["documents"]]

    assert found("q=noise") == ["Noise rules.txt", "Noise survey.xlsx"]
    assert found("q=rules+noise") == ["Noise rules.txt"]
    assert found("kind=tables") == ["Noise survey.xlsx"]
    assert found("label=0") == ["Public menu.txt"]
    assert found("q=nothing") == []
    assert found("kind=nonsense") == ["Noise rules.txt", "Noise survey.xlsx", "Public menu.txt"]


def test_many_documents_come_in_pages_with_few_questions_to_the_database(
    house: House, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(60):
        make_document(house.library, f"{number:02}.txt", [f"{number}"])
    client = signed_in(house.reader)
    with django_assert_max_num_queries(20):
        first = client.get("/libraries/handbook/rows")
    assert len(first.context["documents"]) == 50
    assert first.context["documents"].paginator.count == 60
    last = client.get("/libraries/handbook/rows?page=2")
    assert [row["name"] for row in last.context["documents"]] == [f"{n:02}.txt" for n in range(50, 60)]
    assert client.get("/libraries/handbook/rows?page=many").status_code == 200


def test_a_document_above_the_clearance_is_hidden_also_from_the_counts(house: House) -> None:
    make_document(house.library, "plan.txt", label=Label.CONFIDENTIAL)
    unfinished(house, "list.txt", VersionState.FAILED)
    Document.objects.filter(name="list.txt").update(label=Label.SECRET)
    page = signed_in(house.clerk).get("/libraries/handbook/")
    assert "plan.txt" not in page.content.decode()
    assert "list.txt" not in page.content.decode()
    assert page.context["library"]["documents"] == 0


def test_a_library_of_others_is_not_there(house: House) -> None:
    make_library(house.tenant, "Board")
    make_library(make_house().tenant, "Elsewhere")
    client = signed_in(house.reader)
    absent = seen(client.get("/libraries/nowhere/"))
    assert absent[0] == 404
    assert seen(client.get("/libraries/board/")) == seen(client.get("/libraries/elsewhere/")) == absent


def test_nobody_is_sent_to_the_sign_in_page(house: House) -> None:
    answer = Client().get("/libraries/handbook/")
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/sign-in")


def test_who_reads_one_library_is_taken_there_and_who_reads_more_chooses(house: House) -> None:
    client = signed_in(house.reader)
    assert client.get("/documents/").headers["Location"] == "/libraries/handbook/"
    make_document(make_library(house.tenant, "Menu", readers=[house.reader]))
    page = client.get("/documents/")
    assert [(row["name"], row["documents"]) for row in page.context["libraries"]] == [
        ("Handbook", 0),
        ("Menu", 1),
    ]
    assert page.status_code == 200


def test_who_reads_nothing_is_told_whom_to_ask(house: House) -> None:
    page = signed_in(make_person(house.tenant)).get("/documents/")
    assert "administrator" in page.content.decode()


def test_it_says_who_reads_it(house: House) -> None:
    text = signed_in(house.reader).get("/libraries/handbook/").context["library"]["readers_text"]
    assert text == "read by 3 people"
    grant(house.library, None)
    text = signed_in(house.reader).get("/libraries/handbook/").context["library"]["readers_text"]
    assert text == "read by everybody here"


def test_what_waits_has_its_place_in_the_queue_of_all(house: House) -> None:
    other = make_house()
    first = unfinished(other, "first.txt", VersionState.RECEIVED)
    second = unfinished(house, "second.txt", VersionState.RECEIVED)
    third = unfinished(house, "third.txt", VersionState.RECEIVED)
    rows = shown(scope_for(house.reader), house.library.id, Progress())["rows"]
    assert [(row["id"], row["position"]) for row in rows] == [(second.id, 1), (third.id, 2)]
    assert [row["position_text"] for row in rows] == ["Second in the queue", "Number 3 in the queue"]
    mine = shown(scope_for(other.reader), other.library.id, Progress())["rows"]
    assert [(row["id"], row["position_text"]) for row in mine] == [(first.id, "Next in the queue")]


def test_what_is_in_work_says_how_far_it_is(house: House) -> None:
    reading = unfinished(house, "reading.pdf", VersionState.READING)
    embedding = unfinished(house, "embedding.pdf", VersionState.EMBEDDING)
    publishing = unfinished(house, "publishing.pdf", VersionState.EMBEDDING)
    progress = Progress.of(
        [
            step(reading, "reading", 1, 14),
            step(reading, "reading", 3, 14),
            step(embedding, "embedding", 1204, 1940),
            step(publishing, "embedding", 7, 7),
        ]
    )
    rows = shown(scope_for(house.reader), house.library.id, progress)["rows"]
    assert [(row["stage"], row["stage_text"], row["percent"]) for row in rows] == [
        ("reading", "Reading page 3 of 14", 21),
        ("embedding", "Embedding passage 1,204 of 1,940", 62),
        ("publishing", "Publishing", 100),
    ]


def test_a_step_of_an_earlier_stage_is_not_taken_for_progress_of_this_one(house: House) -> None:
    version = unfinished(house, "a.pdf", VersionState.EMBEDDING)
    row = shown(scope_for(house.reader), house.library.id, Progress.of([step(version, "reading", 9, 9)]))[
        "rows"
    ][0]
    assert (row["stage"], row["percent"]) == ("embedding", None)


def test_no_time_is_promised_before_something_was_learned(house: House) -> None:
    unfinished(house, "a.txt", VersionState.RECEIVED)
    assert shown(scope_for(house.reader), house.library.id, Progress())["eta_text"] == ""


def test_the_time_that_is_left_comes_from_what_was_read_before(house: House) -> None:
    learned(house, seconds_per_megabyte=60)
    unfinished(house, "new.txt", VersionState.RECEIVED, size=4_000_000)
    found = shown(scope_for(house.reader), house.library.id, Progress())
    assert found["eta_text"] == "about 4 minutes"
    assert (found["left"], found["all"]) == (1, 1)


def test_no_time_is_promised_for_what_is_far_larger_than_all_before(house: House) -> None:
    learned(house, seconds_per_megabyte=60)
    unfinished(house, "huge.txt", VersionState.RECEIVED, size=11_000_000)
    assert shown(scope_for(house.reader), house.library.id, Progress())["eta_text"] == ""


def test_large_files_say_more_about_the_time_than_small_ones(house: House) -> None:
    learned(house, seconds_per_megabyte=60)
    Version.objects.filter(document__name__in=["a.txt", "b.txt"]).update(size=10)
    unfinished(house, "new.txt", VersionState.RECEIVED, size=2_000_000)
    assert shown(scope_for(house.reader), house.library.id, Progress())["eta_text"] == "about 6 minutes"


def test_the_time_says_when_files_of_others_come_first(house: House) -> None:
    learned(house, seconds_per_megabyte=60)
    unfinished(make_house(), "other.txt", VersionState.RECEIVED)
    unfinished(house, "new.txt", VersionState.RECEIVED, size=4_000_000)
    found = shown(scope_for(house.reader), house.library.id, Progress())
    assert found["eta_text"] == "about 4 minutes once 1 file of others is read"


def test_what_takes_longer_than_expected_promises_nothing(house: House) -> None:
    learned(house, seconds_per_megabyte=10)
    version = unfinished(house, "new.txt", VersionState.READING)
    Version.objects.filter(pk=version.pk).update(started_at=timezone.now() - timedelta(seconds=60))
    found = shown(scope_for(house.reader), house.library.id, Progress())
    assert (found["rows"][0]["eta_text"], found["eta_text"]) == ("", "")


def test_embedding_is_measured_by_itself(house: House) -> None:
    version = unfinished(house, "new.txt", VersionState.EMBEDDING)
    Version.objects.filter(pk=version.pk).update(started_at=timezone.now() - timedelta(seconds=60))
    progress = Progress.of([step(version, "embedding", 25, 100)])
    assert (
        shown(scope_for(house.reader), house.library.id, progress)["rows"][0]["eta_text"] == "about 3 minutes"
    )


def test_a_failed_file_says_what_to_do_and_offers_it_to_who_may(house: House) -> None:
    version = unfinished(house, "old.pdf", VersionState.FAILED)
    Version.objects.filter(pk=version.pk).update(error_code="encrypted")
    row = shown(scope_for(house.clerk), house.library.id, Progress())["rows"][0]
    assert row["error_title"] == "Locked"
    assert "password" in str(row["error_text"])
    assert row["retry_url"] == f"/documents/{version.id}/retry"
    assert shown(scope_for(house.reader), house.library.id, Progress())["rows"][0]["retry_url"] == ""
    assert "password" in signed_in(house.reader).get("/libraries/handbook/").content.decode()


def test_more_than_fits_is_counted(house: House) -> None:
    for number in range(25):
        unfinished(house, f"{number}.txt", VersionState.FAILED)
    found = shown(scope_for(house.reader), house.library.id, Progress())
    assert (len(found["rows"]), found["more"], found["left"]) == (20, 5, 0)


def test_what_was_finished_of_a_batch_counts(house: House) -> None:
    unfinished(house, "slow.txt", VersionState.READING)
    make_document(house.library, "quick.txt")
    found = shown(scope_for(house.reader), house.library.id, Progress())
    assert (found["left"], found["all"]) == (1, 2)


def test_an_officer_without_a_grant_reads_no_library(house: House) -> None:
    officer = make_person(house.tenant, roles=[Role.OFFICER])
    assert signed_in(officer).get("/libraries/handbook/").status_code == 404


def test_a_deleted_library_is_gone_at_once(house: House) -> None:
    admin = make_person(house.tenant, roles=[Role.TENANT_ADMIN])
    document = make_document(house.library)
    services.delete_library(scope_for(admin), house.library.id)
    client = signed_in(house.reader)
    assert client.get("/libraries/handbook/").status_code == 404
    assert client.get(f"/documents/{document.id}").status_code == 404


def test_every_type_of_file_that_can_be_uploaded_can_be_found_by_its_type() -> None:
    assert {ending for _name, endings in KINDS.values() for ending in endings} == set(ACCEPT.split(","))


def test_a_document_that_no_person_added_names_nobody(house: House) -> None:
    make_document(house.library, "from-a-folder.txt")
    page = signed_in(house.reader).get("/libraries/handbook/").content.decode()
    assert "from-a-folder.txt" in page
    assert "</time>, " not in page
