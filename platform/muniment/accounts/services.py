"""Signing in, and what an administrator does with people."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from muniment.accounts.models import FailedSignIn, Person
from muniment.accounts.queries import person_named, person_to_administer
from muniment.audit import actions
from muniment.audit.actions import Outcome, Stage
from muniment.audit.services import SITE, Thing, record
from muniment.pages.errors import Conflict, Forbidden, Invalid, NotFound, TooMany
from muniment.scope import ADMIN_ROLES, Label, Origin, Role, Scope
from muniment.tenancy.models import Tenant
from muniment.tenancy.queries import organisations
from muniment.tenancy.services import scope_of
from muniment.wall import within

# Without look-alikes, for passwords that are read from a screen and typed.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def scope_of_person(person: Person, origin: Origin) -> Scope:
    return scope_of(person.tenant_id, person.id, person.roles, person.clearance, origin)


def check_credentials(username: str, password: str, origin: Origin) -> Person | None:
    """The person, or None where name or password is wrong; the two cannot be told apart.

    Raises `TooMany` after several failures of the same name or from the same address.
    """
    username = username.strip().lower()
    keys = [_throttle_key("name", username), *([_throttle_key("ip", origin.ip)] if origin.ip else [])]
    since = timezone.now() - timedelta(seconds=settings.SIGN_IN_WAIT_SECONDS)
    for key, allowed in zip(keys, (settings.SIGN_IN_TRIES, settings.SIGN_IN_TRIES * 5), strict=False):
        if FailedSignIn.objects.filter(key=key, at__gt=since).count() >= allowed:
            raise TooMany
    person = authenticate(username=username, password=password)
    if isinstance(person, Person):
        FailedSignIn.objects.filter(key=keys[0]).delete()
        return person
    _record_failure(username, keys, origin)
    return None


def _record_failure(username: str, keys: list[str], origin: Origin) -> None:
    known = person_named(username)
    scope = Scope(tenant=known.tenant_id if known else _tenant_of_nobody(), origin=origin)
    with transaction.atomic():
        FailedSignIn.objects.filter(
            at__lt=timezone.now() - timedelta(seconds=settings.SIGN_IN_WAIT_SECONDS)
        ).delete()
        FailedSignIn.objects.bulk_create(FailedSignIn(key=key) for key in keys)
        record(
            scope,
            actions.SIGN_IN_FAILED,
            Thing("person", known.id) if known else None,
            stage=Stage.DENIED,
            outcome=Outcome.DENIED,
            reason="credentials",
            private={"username": username[:60]},
        )


def _tenant_of_nobody() -> UUID:
    """Whose officer sees a try with an unknown name: the only tenant's, else nobody's."""
    tenants = list(organisations().values_list("id", flat=True)[:2])
    return tenants[0] if len(tenants) == 1 else SITE


def _throttle_key(kind: str, value: str) -> str:
    return salted_hmac(f"muniment.sign-in.{kind}", value, algorithm="sha256").hexdigest()


def record_signed_in(scope: Scope) -> None:
    """In the transaction that writes the session."""
    record(scope, actions.SIGNED_IN, Thing("person", scope.person or ""))


def record_signed_out(scope: Scope) -> None:
    """In the transaction that removes the session."""
    record(scope, actions.SIGNED_OUT, Thing("person", scope.person or ""))


@transaction.atomic
def change_own_password(scope: Scope, old: str, new: str) -> Person:
    person = Person.objects.filter(pk=scope.person, tenant_id=scope.tenant).first() if scope.person else None
    if person is None:
        raise NotFound
    if not person.check_password(old):
        raise Invalid(_("The present password is not right."))
    if old == new:
        raise Invalid(_("Choose a password that differs from the present one."))
    try:
        validate_password(new, person)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages)) from error
    person.set_password(new)
    person.must_change_password = False
    person.save(update_fields=["password", "must_change_password"])
    record(scope, actions.PASSWORD_CHANGED, Thing("person", person.id))
    return person


@transaction.atomic
def create_person(
    scope: Scope,
    username: str,
    name: str,
    roles: Iterable[str],
    clearance: int = Label.INTERNAL,
) -> tuple[Person, str]:
    """Make a person of the scope's tenant and give them with their one-time password."""
    if not scope.is_admin:
        raise Forbidden
    return _make_person(scope, username, name, roles, clearance)


@transaction.atomic
def create_first_person(
    tenant: Tenant, username: str, name: str, roles: Iterable[str], clearance: int, origin: Origin
) -> tuple[Person, str]:
    """For the first run, when nobody could make a person yet. Refuses once an administrator exists."""
    with within(tenant.id):
        if any(ADMIN_ROLES & set(roles) for roles in tenant.people.values_list("roles", flat=True)):
            raise Conflict(_("This tenant has an administrator already."))
        return _make_person(Scope(tenant=tenant.id, origin=origin), username, name, roles, clearance)


def _make_person(
    scope: Scope, username: str, name: str, roles: Iterable[str], clearance: int
) -> tuple[Person, str]:
    username, name = username.strip().lower(), " ".join(name.split())
    held = _checked_roles(scope, roles)
    if not username or len(username) > 60 or any(c.isspace() or not c.isprintable() for c in username):
        raise Invalid(_("A user name has 1 to 60 characters and no spaces."))
    if not name or len(name) > 120:
        raise Invalid(_("A name has 1 to 120 characters."))
    if clearance not in set(Label):
        raise Invalid(_("Choose one of the four labels."))
    if person_named(username):
        raise Conflict(_("This user name is taken. Choose another."))
    password = one_time_password()
    person = Person(tenant_id=scope.tenant, username=username, name=name, roles=held, clearance=clearance)
    person.set_password(password)
    person.save()
    record(
        scope,
        actions.PERSON_CREATED,
        Thing("person", person.id),
        details={"roles": held, "clearance": clearance},
        private={"username": username, "name": name},
    )
    return person, password


@transaction.atomic
def set_roles(scope: Scope, person_id: UUID, roles: Iterable[str], clearance: int) -> Person:
    """Replace a person's roles and clearance. Takes effect with their next request."""
    person = person_to_administer(scope, person_id)
    if person.id == scope.person:
        raise Forbidden(_("You cannot change your own roles. Ask another administrator."))
    held, before = _checked_roles(scope, roles), person.roles
    if clearance not in set(Label):
        raise Invalid(_("Choose one of the four labels."))
    person.roles, person.clearance = held, clearance
    person.save(update_fields=["roles", "clearance"])
    record(
        scope,
        actions.ROLES_CHANGED,
        Thing("person", person.id),
        details={"roles": held, "roles_before": before, "clearance": clearance},
        private={"username": person.username},
    )
    return person


@transaction.atomic
def set_active(scope: Scope, person_id: UUID, active: bool) -> Person:
    """Deactivate or activate. A deactivated person is out with their next request, for good."""
    person = person_to_administer(scope, person_id)
    if person.id == scope.person:
        raise Forbidden(_("You cannot deactivate yourself. Ask another administrator."))
    person.is_active = active
    if not active:
        person.session_seed = uuid4()
    person.save(update_fields=["is_active", "session_seed"])
    record(
        scope,
        actions.PERSON_ACTIVATED if active else actions.PERSON_DEACTIVATED,
        Thing("person", person.id),
        private={"username": person.username},
    )
    return person


@transaction.atomic
def reset_password(scope: Scope, person_id: UUID) -> str:
    """Give a new one-time password; the old one and every session of the person end."""
    person = person_to_administer(scope, person_id)
    if person.id == scope.person:
        raise Forbidden(_("Change your own password on your profile."))
    return _reset(scope, person)


@transaction.atomic
def reset_password_from_shell(username: str, origin: Origin) -> str:
    """For whoever may run commands on the machine, when nobody can sign in any more."""
    person = person_named(username.strip().lower())
    if person is None:
        raise Invalid(_("There is nobody of this name."))
    with within(person.tenant_id):
        return _reset(Scope(tenant=person.tenant_id, origin=origin), person)


def _reset(scope: Scope, person: Person) -> str:
    password = one_time_password()
    person.set_password(password)
    person.must_change_password = True
    person.save(update_fields=["password", "must_change_password"])
    record(scope, actions.PASSWORD_RESET, Thing("person", person.id), private={"username": person.username})
    return password


def one_time_password() -> str:
    """Four groups of five characters, about 100 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def _checked_roles(scope: Scope, roles: Iterable[str]) -> list[str]:
    try:
        held = {Role(role) for role in roles}
    except ValueError as error:
        raise Invalid(_("There is no such role.")) from error
    if not held:
        raise Invalid(_("A person needs at least one role."))
    if Role.OFFICER in held and held & ADMIN_ROLES:
        raise Invalid(_("Nobody is administrator and compliance officer at once."))
    if Role.SITE_ADMIN in held and scope.person is not None and Role.SITE_ADMIN not in scope.roles:
        raise Forbidden(_("Only a site administrator makes another."))
    return sorted(role.value for role in held)
