"""What is read of tenants, teams, libraries and grants."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower

from muniment.pages.errors import Forbidden, NotFound
from muniment.scope import Scope
from muniment.tenancy.models import EVALUATION, Grant, Library, Team, Tenant
from muniment.wall import within


def grants_of(tenant: UUID, person: UUID) -> list[tuple[UUID, int]]:
    """Library and level of every grant that reaches a person, in libraries that are not deleted."""
    rows = Grant.objects.filter(
        Q(person=person) | Q(team__members=person) | Q(team=None, person=None),
        library__tenant=tenant,
        library__deleted_at=None,
    )
    return list(rows.values_list("library", "level"))


def grants_of_many(tenant: UUID, people: Collection[UUID]) -> dict[UUID, list[tuple[UUID, int]]]:
    """`grants_of` for many people of a tenant, in three queries."""
    grants = Grant.objects.filter(library__tenant=tenant, library__deleted_at=None)
    for_all = list(grants.filter(team=None, person=None).values_list("library", "level"))
    found = {person: list(for_all) for person in people}
    for path in ("person", "team__members"):
        reached = grants.filter(**{f"{path}__in": people})
        for person, library, level in reached.values_list(path, "library", "level"):
            found[person].append((library, level))
    return found


def each_tenant() -> Iterator[Tenant]:
    """Every tenant, oldest first, with the wall open for it meanwhile: for work of the system itself."""
    for tenant in Tenant.objects.order_by("created_at"):
        with within(tenant.id):
            yield tenant


def organisations() -> QuerySet[Tenant]:
    """The tenants that people belong to."""
    return Tenant.objects.exclude(slug=EVALUATION).order_by("created_at")


def tenant_of(scope: Scope) -> Tenant:
    return Tenant.objects.get(pk=scope.tenant)


def readable_libraries(scope: Scope) -> QuerySet[Library]:
    """The libraries this person may read, by name."""
    return Library.objects.filter(tenant=scope.tenant, pk__in=scope.libraries, deleted_at=None).order_by(
        Lower("name")
    )


def library_by_slug(scope: Scope, slug: str) -> Library:
    library = readable_libraries(scope).filter(slug=slug).first()
    if library is None:
        raise NotFound
    return library


@dataclass(frozen=True)
class Readers:
    """Who reads a library: everybody in the tenant, or so many teams and people."""

    everyone: bool
    teams: int
    people: int


def readers_of(library: Library) -> Readers:
    grants = list(library.grants.values_list("team", "person"))
    teams = len([team for team, _person in grants if team])
    people = len([person for _team, person in grants if person])
    return Readers(teams + people < len(grants), teams, people)


def all_libraries(scope: Scope) -> QuerySet[Library]:
    """Every library of the tenant, for its administrator: names and grants, not documents."""
    if not scope.is_admin:
        raise Forbidden
    return Library.objects.filter(tenant=scope.tenant, deleted_at=None).order_by("name")


def library_to_administer(scope: Scope, library: UUID) -> Library:
    found = all_libraries(scope).filter(pk=library).first()
    if found is None:
        raise NotFound
    return found


def all_teams(scope: Scope) -> QuerySet[Team]:
    if not scope.is_admin:
        raise Forbidden
    return Team.objects.filter(tenant=scope.tenant).order_by("name")


def team_to_administer(scope: Scope, team: UUID) -> Team:
    found = all_teams(scope).filter(pk=team).first()
    if found is None:
        raise NotFound
    return found


def library_names(scope: Scope, libraries: Iterable[UUID]) -> dict[UUID, str]:
    """Names of libraries of the tenant, deleted ones too: for the trail, which says where things happened."""
    rows = Library.objects.filter(tenant=scope.tenant, pk__in=set(libraries))
    return dict(rows.values_list("id", "name"))
