"""`manage.py first-run`: what must be there before anybody can sign in. `make up` calls it each time."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from muniment.accounts.models import Person
from muniment.accounts.queries import first_administrator
from muniment.accounts.services import create_first_person, create_person, scope_of_person
from muniment.documents.uploads import upload_whole
from muniment.pages.errors import Problem
from muniment.scope import Label, Role
from muniment.tenancy.models import Level, Library
from muniment.tenancy.queries import organisations
from muniment.tenancy.services import create_library, create_tenant, give_access
from muniment.wall import stay_within
from workers.acting import cli_origin

SAMPLES = Path(settings.BASE_DIR) / "deploy" / "samples"
CHUNK = 1024 * 1024


class Command(BaseCommand):
    help = (
        "Make a tenant, an administrator, a staff and an officer account, and a library of sample documents. "
        "Prints each one-time password once. Leaves alone what is there already."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--organisation", default="Our organisation", help="what the tenant is called")
        parser.add_argument("--samples", type=Path, default=SAMPLES, help="folder of the sample documents")

    def handle(self, *args: Any, **options: Any) -> None:
        # Nothing is running yet that could hear the bell; the sweeper rings again later.
        logging.getLogger("muniment.jobs").setLevel(logging.ERROR)
        if first_administrator() is None:
            with transaction.atomic():
                made = _make_people(options["organisation"])
            self.stdout.write("One-time passwords, shown only now; each is replaced at the first sign-in:")
            for username, password, what in made:
                self.stdout.write(f"  {username:8} {password}   {what}")
        admin = first_administrator()
        stay_within(admin.tenant_id if admin else None)
        if admin and not Library.objects.filter(tenant=admin.tenant_id).exists():
            try:
                with transaction.atomic():
                    count = _make_library(admin, options["samples"])
            except Problem as problem:
                raise CommandError(str(problem.detail)) from problem
            self.stdout.write(
                f"The library Handbook holds {count} sample documents from {options['samples']}."
            )


def _make_people(organisation: str) -> list[tuple[str, str, str]]:
    """Name, one-time password and purpose of each account."""
    tenant = organisations().first() or create_tenant("main", organisation)
    stay_within(tenant.id)
    roles = [Role.SITE_ADMIN, Role.TENANT_ADMIN]
    admin, password = create_first_person(
        tenant, "admin", "Administrator", roles, Label.INTERNAL, cli_origin()
    )
    scope = scope_of_person(admin, cli_origin())
    _staff, staff_password = create_person(scope, "staff", "Staff Member", [Role.STAFF])
    _officer, officer_password = create_person(scope, "officer", "Compliance Officer", [Role.OFFICER])
    return [
        ("admin", password, "administers the site, people and libraries"),
        ("staff", staff_password, "uploads and asks"),
        ("officer", officer_password, "reads the trail"),
    ]


def _make_library(admin: Person, samples: Path) -> int:
    """The first library with its grants and sample documents; gives how many."""
    scope = scope_of_person(admin, cli_origin())
    library = create_library(scope, "Handbook", Label.INTERNAL)
    give_access(scope, library.id, Level.READ)
    give_access(scope, library.id, Level.CONTRIBUTE, person_id=admin.id)
    staff = Person.objects.filter(tenant=admin.tenant_id, username="staff").first()
    if staff:
        give_access(scope, library.id, Level.CONTRIBUTE, person_id=staff.id)
    scope = scope_of_person(admin, cli_origin())  # again: now it may contribute
    files = sorted(path for path in samples.iterdir() if path.is_file()) if samples.is_dir() else []
    for path in files:
        upload_whole(scope, library.id, path.name, _chunks(path), path.stat().st_size)
    return len(files)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
