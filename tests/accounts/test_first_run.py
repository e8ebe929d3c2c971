"""`manage.py first-run`"""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import Client

from muniment.accounts.models import Person
from muniment.audit.models import AuditEvent
from muniment.documents.models import Document
from muniment.tenancy.models import Library, Tenant
from tests.factories import scope_for


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: object, broker: object) -> None:
    for name in ("BLOB_DIR", "UPLOAD_DIR", "PAGES_DIR"):
        setattr(settings, name, tmp_path / name)


def first_run(**options: object) -> str:
    out = StringIO()
    call_command("first-run", stdout=out, **options)
    return out.getvalue()


def test_it_makes_three_accounts_that_can_sign_in(db: None) -> None:
    passwords = dict(re.findall(r"^  (\w+) +(\S+)   ", first_run(), re.MULTILINE))
    assert set(passwords) == {"admin", "staff", "officer"}
    for username, password in passwords.items():
        client = Client()
        assert client.post("/sign-in", {"username": username, "password": password}).status_code == 302
        assert client.get("/").headers["Location"] == "/profile/password"
    roles = dict(Person.objects.values_list("username", "roles"))
    assert roles == {"admin": ["site_admin", "tenant_admin"], "staff": ["staff"], "officer": ["officer"]}


def test_it_makes_a_library_with_the_sample_documents(db: None) -> None:
    first_run()
    library = Library.objects.get()
    assert library.slug == "handbook"
    names = set(Document.objects.values_list("name", flat=True))
    assert {Path(name).suffix for name in names} == {
        *(".pdf", ".docx", ".xlsx", ".md", ".html", ".txt", ".eml")
    }
    scopes = {person.username: scope_for(person) for person in Person.objects.all()}
    assert all(library.id in scope.libraries for scope in scopes.values())
    assert {name for name, scope in scopes.items() if scope.contributes} == {"admin", "staff"}


def test_a_second_run_changes_nothing_and_says_nothing(db: None) -> None:
    first_run()
    before = (
        Person.objects.count(),
        Library.objects.count(),
        Document.objects.count(),
        AuditEvent.objects.count(),
    )
    assert first_run() == ""
    assert before == (
        *(
            Person.objects.count(),
            Library.objects.count(),
            Document.objects.count(),
            AuditEvent.objects.count(),
        ),
    )


def test_a_run_that_was_cut_off_goes_on_with_what_is_missing(db: None, tmp_path: Path) -> None:
    first_run(samples=tmp_path / "empty")
    Library.objects.all().delete()
    assert "7 sample documents" in first_run()
    assert Tenant.objects.count() == 1


def test_it_acts_by_command_and_leaves_events(db: None) -> None:
    first_run(organisation="Hollow Hill Clinic")
    assert Tenant.objects.get().name == "Hollow Hill Clinic"
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {
        "tenant.created",
        "person.created",
        "library.created",
        "grant.given",
        "document.uploaded",
    } <= actions
