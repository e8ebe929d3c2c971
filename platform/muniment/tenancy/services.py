"""What happens to teams, libraries and grants; and the one place where a `Scope` is made."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from muniment.audit import actions
from muniment.audit.services import Thing, record
from muniment.pages.errors import Conflict, Forbidden, Invalid, NotFound
from muniment.scope import Label, Origin, Role, Scope
from muniment.tenancy.models import Grant, Level, Library, Team, Tenant
from muniment.tenancy.queries import grants_of, library_to_administer, team_to_administer
from muniment.wall import within


def scope_of(
    tenant: UUID, person: UUID, roles: Iterable[str], clearance: int, origin: Origin | None = None
) -> Scope:
    """What a person may do now: their grants, their teams' grants and everybody's, by their clearance."""
    with within(tenant):
        grants = grants_of(tenant, person)
    return scope_with(grants, tenant, person, roles, clearance, origin)


def scope_with(
    grants: Iterable[tuple[UUID, int]],
    tenant: UUID,
    person: UUID,
    roles: Iterable[str],
    clearance: int,
    origin: Origin | None = None,
) -> Scope:
    """The scope of a person whom these grants reach, by library and level."""
    held = frozenset(Role(role) for role in roles)
    levels: dict[UUID, int] = {}
    for library, level in grants:
        levels[library] = max(level, levels.get(library, 0))
    contributes = frozenset(library for library, level in levels.items() if level >= Level.CONTRIBUTE)
    return Scope(
        tenant=tenant,
        person=person,
        roles=held,
        libraries=frozenset(levels),
        contributes=contributes,
        curates=contributes if Role.CURATOR in held else frozenset(),
        clearance=clearance,
        origin=origin or Origin(),
    )


def system_scope(tenant: UUID, request_id: str = "") -> Scope:
    """For work of the system itself in a tenant: it reads no library and holds no role."""
    return Scope(tenant=tenant, origin=Origin(kind="system", request_id=request_id))


def library_scope(library: Library, request_id: str = "") -> Scope:
    """For work of the system itself on one library: it adds to it and takes out, whatever the labels are."""
    only = frozenset({library.id})
    return Scope(
        tenant=library.tenant_id,
        libraries=only,
        contributes=only,
        clearance=Label.SECRET,
        origin=Origin(kind="system", request_id=request_id),
    )


@transaction.atomic
def create_tenant(slug: str, name: str) -> Tenant:
    tenant = Tenant.objects.create(slug=slug, name=name)
    record(
        system_scope(tenant.id), actions.TENANT_CREATED, Thing("tenant", tenant.id), private={"name": name}
    )
    return tenant


def _require_admin(scope: Scope) -> None:
    if not scope.is_admin:
        raise Forbidden


@transaction.atomic
def create_team(scope: Scope, name: str) -> Team:
    _require_admin(scope)
    name = _name(name)
    if Team.objects.filter(tenant_id=scope.tenant, name=name).exists():
        raise Conflict(_("There is a team of this name already."))
    team = Team.objects.create(tenant_id=scope.tenant, name=name)
    record(scope, actions.TEAM_CREATED, Thing("team", team.id), private={"name": name})
    return team


@transaction.atomic
def delete_team(scope: Scope, team_id: UUID) -> None:
    team = team_to_administer(scope, team_id)
    record(scope, actions.TEAM_DELETED, Thing("team", team.id), private={"name": team.name})
    team.delete()


@transaction.atomic
def add_member(scope: Scope, team_id: UUID, person_id: UUID) -> None:
    team = team_to_administer(scope, team_id)
    person = _person_of_tenant(scope, person_id)
    team.members.add(person.pk)
    record(
        scope,
        actions.TEAM_MEMBER_ADDED,
        Thing("team", team.id),
        details={"person": person_id},
        private={"name": team.name, "username": person.get_username()},
    )


@transaction.atomic
def remove_member(scope: Scope, team_id: UUID, person_id: UUID) -> None:
    team = team_to_administer(scope, team_id)
    person = team.members.filter(pk=person_id).first()
    if person is None:
        raise NotFound
    team.members.remove(person)
    record(
        scope,
        actions.TEAM_MEMBER_REMOVED,
        Thing("team", team.id),
        details={"person": person_id},
        private={"name": team.name, "username": person.get_username()},
    )


@transaction.atomic
def set_quotes_only(scope: Scope, quotes_only: bool) -> None:
    """Have every question answered by quotations, or leave that to who asks; from the next question on."""
    _require_admin(scope)
    others = Tenant.objects.filter(pk=scope.tenant).exclude(quotes_only=quotes_only)
    if others.update(quotes_only=quotes_only):
        record(
            scope,
            actions.QUOTES_ONLY_CHANGED,
            Thing("tenant", scope.tenant),
            details={"quotes_only": quotes_only},
        )


@transaction.atomic
def create_library(scope: Scope, name: str, label: int = Label.INTERNAL) -> Library:
    """Make a library nobody can read yet. Its slug is made from the name, unique in the tenant."""
    _require_admin(scope)
    name = _name(name)
    stem = slugify(name)[:50] or "library"
    for number in range(1, 100):
        slug = stem if number == 1 else f"{stem}-{number}"
        if not Library.objects.filter(tenant_id=scope.tenant, slug=slug, deleted_at=None).exists():
            break
    else:
        raise Conflict(_("There are many libraries of this name already. Choose another."))
    library = Library.objects.create(tenant_id=scope.tenant, slug=slug, name=name, label=_label(label))
    record(
        scope,
        actions.LIBRARY_CREATED,
        Thing("library", library.id, label=library.label),
        details={"label": library.label},
        private={"name": name},
    )
    return library


@transaction.atomic
def change_library(scope: Scope, library_id: UUID, name: str, label: int) -> Library:
    """Rename a library and set the label that new documents get; documents there keep theirs."""
    library = library_to_administer(scope, library_id)
    library.name, library.label = _name(name), _label(label)
    library.save(update_fields=["name", "label"])
    record(
        scope,
        actions.LIBRARY_CHANGED,
        Thing("library", library.id, label=library.label),
        details={"label": library.label},
        private={"name": library.name},
    )
    return library


@transaction.atomic
def close_library(scope: Scope, library_id: UUID, documents: int) -> Library:
    """Hide a library at once. `documents` says how many were in it; removing them is work for later."""
    library = library_to_administer(scope, library_id)
    library.deleted_at = timezone.now()
    library.save(update_fields=["deleted_at"])
    record(
        scope,
        actions.LIBRARY_DELETED,
        Thing("library", library.id, label=library.label),
        details={"documents": documents},
        private={"name": library.name},
    )
    library.grants.all().delete()
    return library


@transaction.atomic
def give_access(
    scope: Scope,
    library_id: UUID,
    level: int,
    team_id: UUID | None = None,
    person_id: UUID | None = None,
) -> Grant:
    """Let a team, a person, or with neither everybody in the tenant read or contribute to a library."""
    library = library_to_administer(scope, library_id)
    if level not in Level.values:
        raise Invalid(_("Choose what the grant allows."))
    if team_id is not None and person_id is not None:
        raise Invalid(_("A grant is for a team, a person or everybody, not for two of them."))
    if team_id is not None:
        team_to_administer(scope, team_id)
    if person_id is not None:
        _person_of_tenant(scope, person_id)
    grant = Grant.objects.filter(library=library, team=team_id, person=person_id).first()
    grant = grant or Grant(library=library, team_id=team_id, person_id=person_id)
    grant.level = level
    grant.save()
    record(
        scope,
        actions.GRANT_GIVEN,
        Thing("library", library.id, label=library.label),
        details=_grant_details(grant),
        private=_grant_words(grant),
    )
    return grant


@transaction.atomic
def revoke_access(scope: Scope, grant_id: UUID) -> UUID:
    """Take a grant away; gives the library it was for."""
    _require_admin(scope)
    grant = (
        Grant.objects.select_related("library").filter(pk=grant_id, library__tenant_id=scope.tenant).first()
    )
    if grant is None:
        raise NotFound
    record(
        scope,
        actions.GRANT_REVOKED,
        Thing("library", grant.library_id, label=grant.library.label),
        details=_grant_details(grant),
        private=_grant_words(grant),
    )
    grant.delete()
    return grant.library_id


def _person_of_tenant(scope: Scope, person_id: UUID) -> AbstractBaseUser:
    # The table of people belongs to a room above this one, so it is asked for by its setting.
    person = get_user_model()._default_manager.filter(tenant_id=scope.tenant, pk=person_id).first()
    if person is None:
        raise NotFound
    return person


def _grant_details(grant: Grant) -> dict[str, object]:
    return {
        "level": grant.level,
        "team": grant.team_id,
        "person": grant.person_id,
        "everyone": grant.team_id is None and grant.person_id is None,
    }


def _grant_words(grant: Grant) -> dict[str, str]:
    words = {"name": grant.library.name}
    if grant.team is not None:
        words["to"] = grant.team.name
    if grant.person is not None:
        words["to"] = grant.person.get_username()
    return words


def _name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 120:
        raise Invalid(_("A name has 1 to 120 characters."))
    return name


def _label(label: int) -> int:
    if label not in set(Label):
        raise Invalid(_("Choose one of the four labels."))
    return label
