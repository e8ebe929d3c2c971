"""What is read of people."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from muniment.accounts.models import Person
from muniment.pages.errors import Forbidden, NotFound
from muniment.scope import ADMIN_ROLES, Role, Scope
from muniment.tenancy.queries import each_tenant
from muniment.wall import looking_for


def all_people(scope: Scope) -> QuerySet[Person]:
    if not scope.is_admin:
        raise Forbidden
    return Person.objects.filter(tenant=scope.tenant).order_by("name", "username")


def person_to_administer(scope: Scope, person: UUID) -> Person:
    """A person of the tenant. A site administrator is changed by site administrators alone."""
    found = all_people(scope).filter(pk=person).first()
    if found is None:
        raise NotFound
    if Role.SITE_ADMIN in found.roles and Role.SITE_ADMIN not in scope.roles:
        raise Forbidden
    return found


def people_by_name(scope: Scope) -> list[tuple[UUID, str]]:
    """Everybody of the tenant, for a filter of the trail."""
    if not scope.is_officer:
        raise Forbidden
    return list(Person.objects.filter(tenant=scope.tenant).order_by("name").values_list("id", "name"))


def names_of(scope: Scope, people: Iterable[UUID]) -> dict[UUID, str]:
    rows = Person.objects.filter(tenant=scope.tenant, pk__in=set(people))
    return dict(rows.values_list("id", "name"))


def person_named(username: str) -> Person | None:
    """Whoever has this name, of any tenant, active or not: before it is known whose scope counts."""
    with looking_for(username):
        return Person.objects.filter(username=username).first()


def first_administrator() -> Person | None:
    """The administrator who was there first: who commands act as when nobody is named."""
    found = [
        person
        for _tenant in each_tenant()
        for person in Person.objects.filter(is_active=True)
        if ADMIN_ROLES & set(person.roles)
    ]
    return min(found, key=lambda person: person.created_at, default=None)
