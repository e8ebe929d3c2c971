"""Who a command acts as, and which library it means."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from uuid import uuid4

from django.core.management.base import CommandError

from muniment.accounts.queries import first_administrator, person_named
from muniment.accounts.services import scope_of_person
from muniment.jobs.broker import client
from muniment.pages.errors import NotFound
from muniment.scope import Origin, Scope
from muniment.tenancy.models import Library, Tenant
from muniment.tenancy.queries import library_by_slug
from muniment.wall import stay_within


def add_as(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--as", dest="name", metavar="NAME", help="act as this person (default: the first administrator)"
    )


def cli_origin() -> Origin:
    """A command's origin: kind cli, with the operating system's account as a personal value."""
    return Origin(kind="cli", request_id=str(uuid4()), account=getpass.getuser())


def acting_scope(name: str | None) -> Scope:
    """The scope of the person a command acts as. Raises `CommandError` where there is none."""
    if name is None:
        person = first_administrator()
        if person is None:
            raise CommandError("There is no administrator yet. Run `make up` first.")
    else:
        person = person_named(name.lower())
        if person is None or not person.is_active:
            raise CommandError(f"There is nobody called {name} who may sign in.")
    # A command is one person's until it ends.
    stay_within(person.tenant_id)
    return scope_of_person(person, cli_origin())


def library_named(scope: Scope, slug: str) -> Library:
    """A library by its slug in the acting person's tenant, or by TENANT/SLUG."""
    tenant, slash, rest = slug.rpartition("/")
    if slash and not Tenant.objects.filter(pk=scope.tenant, slug=tenant).exists():
        raise CommandError(f"There is no library {slug}, or it is not open to this person.")
    try:
        return library_by_slug(scope, rest)
    except NotFound as error:
        raise CommandError(f"There is no library {slug}, or it is not open to this person.") from error


def require_running() -> None:
    """Raise `CommandError` unless the parts of this installation are up."""
    try:
        client().ping()
    except Exception as error:
        raise CommandError("Muniment is not running. Start `make up` in another terminal.") from error
