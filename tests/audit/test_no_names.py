"""Every service once, with telling names everywhere: none of them is in any event's body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from muniment.accounts import services as accounts
from muniment.accounts.models import Person
from muniment.audit import actions
from muniment.audit.actions import CATALOGUE
from muniment.audit.models import AuditEvent, AuditPrivate
from muniment.audit.queries import body_of
from muniment.conversations import exports
from muniment.conversations import services as conversations
from muniment.conversations.models import Conversation, TurnState
from muniment.documents import generations
from muniment.documents import services as documents
from muniment.documents.blobs import hash_file
from muniment.documents.generations import Making
from muniment.documents.models import Document, VersionState
from muniment.documents.uploads import upload_whole
from muniment.environment import Root
from muniment.evaluation import services as evaluation
from muniment.folders import services as folders
from muniment.registry.models import Engine
from muniment.registry.services import set_budget
from muniment.scope import Origin, Role, Scope
from muniment.search import services as search
from muniment.search.asked import Narrowing, asked
from muniment.tenancy import services as tenancy
from muniment.tenancy.models import Library, Tenant
from tests.factories import make_version

NEEDLE = "Zébulon"
# Workers and commands write these; their own tests look at them.
ELSEWHERE = {
    *(actions.BACKUP_MADE, actions.BACKUP_RESTORED, actions.MOVED_TO_SITE, actions.DIFFERENCE_MENDED),
    *(actions.EGRESS_BLOCKED, actions.EGRESS_TESTED, actions.SOVEREIGNTY_REPORTED),
    *(actions.TRAIL_VERIFIED, actions.EVENT_PROVED, actions.TRAIL_WITNESSED),
    *(actions.RECEIPT_TAKEN, actions.ANSWER_REPLAYED, actions.REFUSALS_CALIBRATED),
}


@pytest.fixture
def folder(tmp_path: Path, settings: object) -> Iterator[Path]:
    for name in ("BLOB_DIR", "UPLOAD_DIR", "PAGES_DIR"):
        setattr(settings, name, tmp_path / name)
    yield tmp_path


def origin() -> Origin:
    return Origin(
        "person", "password", "a-session", "a-request", ip=f"ip {NEEDLE}", account=f"account {NEEDLE}"
    )


def as_of_now(person: Person) -> Scope:
    return accounts.scope_of_person(Person.objects.get(pk=person.pk), origin())


def administer(tenant: Tenant) -> tuple[Person, Person, Library]:
    """People, teams, libraries, grants; gives the administrator, a curator and a library."""
    roles = [Role.SITE_ADMIN, Role.TENANT_ADMIN]
    admin, _password = accounts.create_first_person(tenant, f"{NEEDLE}-a", f"{NEEDLE} A", roles, 1, origin())
    scope = as_of_now(admin)
    curator, old = accounts.create_person(scope, f"{NEEDLE}-c", f"{NEEDLE} C", [Role.STAFF])
    accounts.change_own_password(as_of_now(curator), old, f"{NEEDLE} likes long passwords")
    accounts.set_roles(scope, curator.id, [Role.CURATOR], 2)
    accounts.reset_password(scope, curator.id)
    accounts.set_active(scope, curator.id, active=False)
    accounts.set_active(scope, curator.id, active=True)
    team = tenancy.create_team(scope, f"Team {NEEDLE}")
    tenancy.add_member(scope, team.id, curator.id)
    tenancy.remove_member(scope, team.id, curator.id)
    library = tenancy.create_library(scope, f"Library {NEEDLE}")
    tenancy.set_quotes_only(scope, True)
    tenancy.set_quotes_only(scope, False)
    tenancy.change_library(scope, library.id, f"Books of {NEEDLE}", 1)
    tenancy.give_access(scope, library.id, 1, team_id=team.id)
    tenancy.give_access(scope, library.id, 2, person_id=curator.id)
    tenancy.revoke_access(scope, tenancy.give_access(scope, library.id, 1).id)
    tenancy.delete_team(scope, team.id)
    generations.begin_first(Making("mini", "a" * 64, 384, splitter=1, words=1))
    generations.begin(scope, Making("small", "b" * 64, 32, splitter=1, words=1))
    assert generations.abandon(scope)
    begun = generations.begin(scope, Making("tiny", "c" * 64, 32, splitter=1, words=1))
    assert generations.switch(begun.number)
    Engine.objects.create(model="small", facts={"context": 4096})
    set_budget(scope, "small", 900)
    return admin, curator, library


def handle_documents(scope: Scope, library: Library, other: Library) -> None:
    content = f"{NEEDLE} was here.".encode()
    document = upload_whole(scope, library.id, f"{NEEDLE}.txt", [content], len(content))
    version = document.versions.get()
    documents.begin_reading(version)
    documents.store_text(version, [], [], f"On {NEEDLE}", media_type="text/plain", language="", warnings=[])
    generations.mark(version, 3)
    documents.publish(scope, version)
    documents.record_view(scope, version, 1)
    documents.record_download(scope, version)
    documents.record_download_ended(scope, version, complete=True)
    documents.set_label(scope, document.id, 2)
    documents.move_document(scope, document.id, other.id)
    broken = Document.objects.create(
        tenant=scope.tenant, library=library, name=f"broken {NEEDLE}.txt", label=1, added_by=scope.person
    )
    failing = make_version(broken, VersionState.READING)
    documents.fail(scope, failing, "empty")
    documents.retry(scope, failing.id)
    documents.delete_document(scope, broken.id)
    case = evaluation.add_case(scope, library.id, f"Where is {NEEDLE}?")
    evaluation.end_run(scope, evaluation.begin_run(scope, library.id, f"About {NEEDLE}"), [])
    evaluation.change_case(scope, case.id, f"Where was {NEEDLE}?")
    evaluation.remove_case(scope, case.id)
    documents.forget_version(scope, failing, points=0)


def follow_a_folder(admin: Scope, library: Library, place: Path, settings: Any) -> None:
    settings.WATCH_ROOTS = (Root("", place),)
    path = place / f"Share of {NEEDLE}"
    path.mkdir()
    folder = folders.map_folder(admin, library.id, str(path), 1)
    part = place / "part"
    part.write_text(NEEDLE)
    seen = folders.Seen(f"{NEEDLE}.txt", part.stat().st_size, 0)
    folders.take(folder, seen, part, hash_file(part))
    folders.let_go(folder, folder.seen.get())
    folders.pause(admin, folder.id)
    folders.resume(admin, folder.id)
    folders.stop(folder, 12, 20)
    folders.confirm(admin, folder.id, 12)
    folders.unmap(admin, folder.id)


def converse(scope: Scope, monkeypatch: pytest.MonkeyPatch) -> Conversation:
    nothing = {
        "hits": [],
        "more": {},
        "passages": 0,
        "documents": 0,
        "pages": 0,
        "met": False,
        "common": False,
    }
    monkeypatch.setattr(search, "ask", lambda *args, **kwargs: nothing)
    search.search(scope, asked(f"where is {NEEDLE}"), Narrowing())
    turn = conversations.ask(scope, f"Who is {NEEDLE}?")
    conversations.begin_search(turn)
    conversations.begin_answer(scope, turn, "small", f"Prompt about {NEEDLE}", [], 0)
    conversations.end_answer(scope, turn, TurnState.ANSWERED, f"{NEEDLE} is nobody.")
    conversations.record_exported(scope, turn, "md", exports.export(scope, turn, "md").sha256, 1)
    conversations.rate(scope, turn.id, -1, f"I know {NEEDLE}")
    conversations.record_opened(scope, turn.conversation)
    conversations.rename(scope, turn.conversation_id, f"About {NEEDLE}")
    document = Document.objects.filter(tenant=scope.tenant)[0]
    conversations.record_answers_viewed(scope, document, counted=True)
    evaluation.record_feedback_viewed(scope, [turn.id])
    conversations.stop(scope, conversations.ask(scope, f"And {NEEDLE}?", turn.conversation_id).id)
    conversations.delete(scope, turn.conversation_id)
    return turn.conversation


def look_around(admin: Person, password: str) -> None:
    """What only a browser does: signing in and out, looking, being refused."""
    Person.objects.filter(pk=admin.pk).update(must_change_password=False)
    client = Client(raise_request_exception=False, REMOTE_ADDR="192.0.2.1")
    client.post("/sign-in", {"username": admin.username, "password": f"{NEEDLE}"})
    client.post("/sign-in", {"username": f"not {NEEDLE}", "password": "x"})
    client.post("/sign-in", {"username": admin.username, "password": password})
    client.get(reverse("console"))
    client.get(reverse("sovereignty"))
    client.get("/libraries/zebulon/")
    client.get(reverse("desk"))
    client.post("/sign-out")


# The test client reads in its own way what is written for an asynchronous server.
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
def test_no_name_and_no_free_text_is_in_any_body(
    db: None, folder: Path, broker: object, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    tenant = tenancy.create_tenant("main", f"House of {NEEDLE}")
    admin, curator, library = administer(tenant)
    other = tenancy.create_library(as_of_now(admin), f"Attic {NEEDLE}")
    tenancy.give_access(as_of_now(admin), other.id, 2, person_id=curator.id)
    handle_documents(as_of_now(curator), library, other)
    follow_a_folder(as_of_now(admin), library, folder, settings)
    converse(as_of_now(curator), monkeypatch)
    documents.delete_library(as_of_now(admin), other.id)
    password = accounts.reset_password_from_shell(admin.username, origin())
    look_around(admin, password)
    officer, _password = accounts.create_person(
        as_of_now(admin), f"{NEEDLE}-o", f"{NEEDLE} O", [Role.OFFICER]
    )
    Person.objects.filter(pk=officer.pk).update(must_change_password=False)
    watcher = Client()
    watcher.force_login(Person.objects.get(pk=officer.pk))
    assert watcher.get("/desk/trail", {"object": NEEDLE}).status_code == 200
    assert watcher.get("/desk/checkpoint").status_code == 200
    taken = watcher.post(f"/desk/trail/export/file?object={NEEDLE}", {"format": "jsonl"})
    assert NEEDLE.encode() not in b"".join(taken)

    people = [str(person) for person in Person.objects.values_list("id", flat=True)]
    for event in AuditEvent.objects.all():
        text = json.dumps(body_of(event), ensure_ascii=False).lower()
        for needle in (NEEDLE.lower(), "zebulon", "192.0.2.1", *people):
            assert needle not in text, event.action
    assert any(NEEDLE in row.value for row in AuditPrivate.objects.all())
    done = set(AuditEvent.objects.values_list("action", flat=True))
    assert set(CATALOGUE) - done == ELSEWHERE
