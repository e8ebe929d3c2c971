"""Runs in a process of an embedded installation of its own: something in every table, in two tenants."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone

from muniment.accounts.models import FailedSignIn, Person
from muniment.audit import actions
from muniment.audit.keys import signing_key
from muniment.audit.sealing import Memory, seal
from muniment.audit.services import SITE, record_alone
from muniment.conversations.models import Conversation, Feedback, Source, Turn, TurnState
from muniment.documents import services as documents
from muniment.documents.blobs import part_path
from muniment.documents.models import Document, Generation, Version, VersionState
from muniment.documents.uploads import append, begin
from muniment.evaluation.models import Case, Result, Run, RunState
from muniment.folders.models import File, Folder
from muniment.jobs import services as jobs
from muniment.jobs.models import Job, Kind, State
from muniment.registry.models import Calibration, Check, Engine, Report
from muniment.scope import Label, Origin, Role, Scope
from muniment.tenancy import services as tenancy
from muniment.tenancy.models import Level, Library, Tenant
from tests.factories import (
    PDF,
    make_document,
    make_person,
    make_version,
    publish_version,
    scope_for,
)
from workers.generations import serving

OLD_SENTENCE = "The old pump of the mill is oiled on the first Tuesday of May."
QUESTION = "When is the old pump oiled? Ärger, 漢字, \U0001f600"


def main() -> None:
    call_command("migrate", verbosity=0)
    admin = _tenant("first", "ada", [Role.SITE_ADMIN, Role.TENANT_ADMIN])
    _tenant("second", "berta", [Role.TENANT_ADMIN])
    _index()
    _of_the_machine(admin)


def _tenant(slug: str, name: str, roles: list[Role]) -> Person:
    tenant = tenancy.create_tenant(slug, slug.title())
    admin = make_person(tenant, name, roles, clearance=Label.SECRET)
    reader = make_person(tenant, f"{name}-reader")
    make_person(tenant, f"{name}-officer", [Role.OFFICER])
    scope = scope_for(admin)
    library = tenancy.create_library(scope, "Handbook")
    team = tenancy.create_team(scope, "Millers")
    tenancy.add_member(scope, team.id, reader.id)
    tenancy.give_access(scope, library.id, Level.CONTRIBUTE, team_id=team.id)
    tenancy.give_access(scope, library.id, Level.CONTRIBUTE, person_id=admin.id)
    document = _documents(library, name)
    _folder(library, document)
    _conversation(reader, document)
    return admin


def _documents(library: Library, name: str) -> Document:
    """Published, with a version that was replaced; one in work, one that failed, one that is deleted."""
    found = make_document(library, f"{name}.pdf", ["An older text of the mill."], media_type=PDF)
    publish_version(found, [OLD_SENTENCE, f"Only {name} knows this."], media_type=PDF)
    found.refresh_from_db()
    scope = Scope(tenant=library.tenant_id)
    for state in (VersionState.READING, VersionState.FAILED):
        document = Document.objects.create(
            tenant=library.tenant_id, library=library, name=f"{state}.txt", label=Label.INTERNAL
        )
        version = make_version(document, state, f"{state} {name}".encode())
        if state == VersionState.READING:
            job = jobs.create(scope, Kind.INGEST, version.id)
            assert jobs.take(job.id, library.tenant_id, "ingest@old:1")
        else:
            Version.objects.filter(pk=version.pk).update(
                error_code="damaged", warnings=[{"code": "x", "share": 1.0, "least": 1e-7, "n": 2**40}]
            )
    admin = Person.objects.get(username=name)
    doomed = make_document(library, "doomed.txt", [f"Nobody needs this of {name}."], added_by=admin.id)
    documents.delete_document(scope_for(admin), doomed.id)
    return found


def _folder(library: Library, document: Document) -> None:
    """A share of the old machine, with a document that came from it."""
    kept = {"tenant": library.tenant_id}
    folder = Folder.objects.create(library=library, path=f"/srv/{document.name}", files=1, **kept)
    seen = {"size": 5, "mtime_ns": 1_700_000_000_123_456_789}
    File.objects.create(folder=folder, path="a/Ärger.pdf", document=document, **seen, **kept)


def _conversation(person: Person, document: Document) -> None:
    tenant, version = document.tenant, document.current
    assert version is not None
    passage = version.passages.get(ordinal=0)
    made = Conversation.objects.create(
        tenant=tenant, person=person.id, title=QUESTION, libraries=[str(document.library_id)]
    )
    # Long ago: what saves rows again would make it now.
    Conversation.objects.filter(pk=made.pk).update(changed_at=timezone.now() - timedelta(days=400))
    turn = Turn.objects.create(
        tenant=tenant,
        conversation=made,
        ordinal=1,
        question=QUESTION,
        state=TurnState.ANSWERED,
        answer="On the first Tuesday of May [1].",
        timings={"search": 0.1, "total": 12.0, "queue": 1e-05},
        receipt={"passages": [str(passage.id)], "params": {"temperature": 0.0, "seed": -0.0}},
        finished_at=timezone.now(),
    )
    where = {"passage": passage.id, "document": document.id, "version": version.id, "page": 1}
    best = {"score": 1 / 3, "best_start": 0, "best_end": len(OLD_SENTENCE)}
    Source.objects.create(tenant=tenant, turn=turn, n=1, given=True, cited=True, **where, **best)
    Feedback.objects.create(tenant=tenant, turn=turn, value=-1, reason="not quite")
    kept = {"tenant": tenant, "library": document.library}
    Case.objects.create(question=QUESTION, document=document.id, page=1, turn=turn.id, **kept)
    run = Run.objects.create(state=RunState.DONE, measures={"mrr@10": [1 / 3, 1]}, **kept)
    found = [{"document": str(document.id), "page": 1, "score": 1 / 3}]
    Result.objects.create(tenant=tenant, run=run, ordinal=0, query="1", question=QUESTION, found=found)
    record_alone(
        scope_for(person), actions.QUESTION_ASKED, private={"question": QUESTION}, details={"libraries": []}
    )


def _index() -> None:
    number = serving().number
    # Long ago: what saves rows again would make it now.
    Generation.objects.filter(pk=number).update(begun_at=timezone.now() - timedelta(days=400))


def _of_the_machine(admin: Person) -> None:
    """What stays behind, and an event that belongs to no tenant."""
    Session.objects.create(session_key="k" * 32, session_data="x", expire_date=timezone.now())
    FailedSignIn.objects.create(key="0" * 64)
    Engine.objects.create(model="old", facts={"threads": 2})
    Check.objects.create(name="disk", state=Check.State.OK, sentence="Fine.", place=1, at=timezone.now())
    Report.objects.create(name="sovereignty", at=timezone.now(), body={})
    Calibration.objects.create(pk="ab" * 32, weights={"version": 1}, measured={}, at=timezone.now())
    record_alone(
        Scope(tenant=SITE, origin=Origin(kind="person", ip="192.0.2.7")),
        actions.SIGN_IN_FAILED,
        private={"username": "nobody"},
    )
    scope = scope_for(admin)
    library = Library.objects.get(tenant=admin.tenant_id)
    upload = begin(scope, library.id, "half.txt", 1000)
    append(scope, upload.id, 0, b"half" * 100)
    assert part_path(upload.tenant, upload.id).exists()
    _seal()
    assert Tenant.objects.count() == 2
    assert Job.objects.filter(state=State.RUNNING).count() == 2
    Job.objects.filter(state=State.READY).update(request_id=str(uuid4()))


def _seal() -> None:
    folder = Path(settings.SEAL_DIR)
    folder.mkdir(mode=0o700)
    assert seal(signing_key(folder, "log"), Memory(folder / "last"))
