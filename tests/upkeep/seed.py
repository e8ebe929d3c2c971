"""Runs in a process of an installation of its own: people, a library, published documents with originals.

`COUNT` makes everything; `write UNTIL` adds documents until the file UNTIL is there.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from uuid import uuid4

from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.utils import timezone

from muniment.accounts.models import Person
from muniment.accounts.services import create_first_person, scope_of_person
from muniment.documents import services as documents
from muniment.documents.models import Document, Page, Passage, Version
from muniment.documents.uploads import upload_whole
from muniment.jobs.models import Job, Kind, State
from muniment.scope import Label, Origin, Role
from muniment.tenancy.models import Level, Library
from muniment.tenancy.services import create_library, create_tenant, give_access


def seed(count: int) -> None:
    call_command("migrate", verbosity=0)
    tenant = create_tenant("main", "An Organisation")
    roles = [Role.SITE_ADMIN, Role.TENANT_ADMIN]
    person, _password = create_first_person(tenant, "admin", "Ada Admin", roles, Label.SECRET, Origin())
    library = create_library(scope_of_person(person, Origin()), "Handbook")
    give_access(scope_of_person(person, Origin()), library.id, Level.CONTRIBUTE, person_id=person.id)
    for number in range(count):
        add_document(person, library, f"file-{number}.txt")
    Session.objects.create(session_key="k" * 32, session_data="x", expire_date=timezone.now())


def add_document(person: Person, library: Library, name: str) -> None:
    """Uploaded and published as ingest would, with one passage."""
    scope = scope_of_person(person, Origin())
    text = f"The text of {name}, {uuid4()}. " * 50
    document = upload_whole(scope, library.id, name, [text.encode()], len(text))
    version = document.versions.get()
    Job.objects.filter(kind=Kind.INGEST, subject=version.id).update(state=State.DONE)
    documents.begin_reading(version)
    documents.store_text(version, [_page(version, text)], [_passage(version, text)], name)
    documents.publish(scope, version)


def _page(version: Version, text: str) -> Page:
    return Page(tenant=version.tenant, version=version, number=1, label="1", start=0, end=len(text))


def _passage(version: Version, text: str) -> Passage:
    where = {"ordinal": 0, "start": 0, "end": len(text), "page": 1, "page_end": 1}
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return Passage(id=uuid4(), tenant=version.tenant, version=version, text=text, sha256=sha256, **where)


def write(until: Path) -> None:
    person, library = Person.objects.get(), Library.objects.get()
    while not until.exists():
        add_document(person, library, f"{uuid4()}.txt")
    print(Document.objects.count())


def main() -> None:
    if sys.argv[1] == "write":
        write(Path(sys.argv[2]))
    else:
        seed(int(sys.argv[1]))
