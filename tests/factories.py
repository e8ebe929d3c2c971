"""Small makers of what tests need to be there: a tenant, people, libraries, documents that are published."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from uuid import UUID, uuid4

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from muniment.accounts.models import Person
from muniment.accounts.services import scope_of_person
from muniment.documents.blobs import blob_path
from muniment.documents.layout import WordBox, pack_words
from muniment.documents.models import Document, Page, Passage, Version, VersionState
from muniment.scope import Label, Origin, Role, Scope
from muniment.tenancy.models import Grant, Level, Library, Tenant

PASSWORD = "paper-ink-and-one-seal"
PDF, PNG = "application/pdf", "image/png"
_numbers = count(1)

# What the test that nothing leaves writes when it passes.
EGRESS_TEST = {
    "at": "2026-01-02T03:04:05Z",
    "version": "0.1.0",
    "seconds": 30.5,
    "packets": 0,
    "names": 0,
    "caught": 7,
    "tried": 7,
}


def make_tenant(slug: str = "") -> Tenant:
    slug = slug or f"tenant-{next(_numbers)}"
    return Tenant.objects.create(slug=slug, name=slug.title())


def make_person(
    tenant: Tenant, username: str = "", roles: Iterable[Role] = (Role.STAFF,), clearance: int = Label.INTERNAL
) -> Person:
    """Somebody who can sign in with PASSWORD."""
    username = username or f"person{next(_numbers)}"
    person = Person(
        tenant=tenant,
        username=username,
        name=username.title(),
        roles=[role.value for role in roles],
        clearance=clearance,
        must_change_password=False,
        password=_hashed(),
    )
    person.save()
    return person


@cache
def _hashed() -> str:
    """Argon2 is slow on purpose; once is enough."""
    return make_password(PASSWORD)


def make_library(
    tenant: Tenant,
    name: str = "Handbook",
    readers: Iterable[Person] = (),
    contributors: Iterable[Person] = (),
) -> Library:
    library = Library.objects.create(tenant=tenant, slug=name.lower().replace(" ", "-"), name=name)
    for person in readers:
        grant(library, person, Level.READ)
    for person in contributors:
        grant(library, person, Level.CONTRIBUTE)
    return library


def grant(library: Library, person: Person | None, level: int = Level.READ) -> Grant:
    """Access for a person, or for None everybody in the tenant."""
    return Grant.objects.create(library=library, person=person, level=level)


def scope_for(person: Person) -> Scope:
    """What the person may do as things stand now."""
    return scope_of_person(person, Origin(kind="person", request_id=str(uuid4())))


def make_document(
    library: Library,
    name: str = "rules.txt",
    texts: Sequence[str] = ("Doors close at ten.",),
    label: int | None = None,
    added_by: UUID | None = None,
    media_type: str = "text/plain",
) -> Document:
    """A published document with a page, and on it a passage, for each text."""
    document = Document.objects.create(
        tenant=library.tenant_id,
        library=library,
        name=name,
        label=library.label if label is None else label,
        added_by=added_by,
    )
    publish_version(document, texts, media_type)
    return document


def publish_version(document: Document, texts: Sequence[str], media_type: str = "text/plain") -> Version:
    """The document's next version, published, with its original on disk."""
    original = "\n\n".join(texts).encode()
    version = make_version(document, VersionState.PUBLISHED, original)
    version.media_type, version.page_count, version.passage_count = media_type, len(texts), len(texts)
    version.started_at = version.published_at = timezone.now()
    version.save()
    at = 0
    for number, text in enumerate(texts, 1):
        _add_page(version, number, at, text)
        at += len(text) + 2
    if document.current:
        Version.objects.filter(pk=document.current.pk).update(state=VersionState.SUPERSEDED)
    document.current = version
    document.save()
    return version


def make_version(document: Document, state: VersionState, original: bytes = b"bytes") -> Version:
    """A version in any state, without text; its original is on disk."""
    sha256 = hashlib.sha256(original).hexdigest()
    path = blob_path(document.tenant, sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(original)
    return Version.objects.create(
        tenant=document.tenant,
        document=document,
        number=document.versions.count() + 1,
        sha256=sha256,
        size=len(original),
        state=state,
        added_by=document.added_by,
    )


def _add_page(version: Version, number: int, start: int, text: str) -> None:
    drawn = version.media_type in (PDF, PNG)
    end = start + len(text)
    Page.objects.create(
        tenant=version.tenant,
        version=version,
        number=number,
        label=str(number),
        start=start,
        end=end,
        width=595.0 if drawn else None,
        height=842.0 if drawn else None,
        blocks=[["paragraph", start, end, 0]],
        words=pack_words(words_of(text, start)) if drawn else None,
    )
    Passage.objects.create(
        id=uuid4(),
        tenant=version.tenant,
        version=version,
        ordinal=number - 1,
        start=start,
        end=end,
        page=number,
        page_end=number,
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def words_of(text: str, start: int = 0) -> list[WordBox]:
    """Words on one line, each character 6 points wide, 12 high, the line 100 points from the top."""
    words, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        words.append(
            (start + at, start + at + len(word), 50 + 6.0 * at, 100.0, 50 + 6.0 * (at + len(word)), 112.0)
        )
        at += len(word)
    return words
