"""People who sign in."""

from __future__ import annotations

from typing import ClassVar
from uuid import uuid4

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from muniment.scope import Label, Role
from muniment.tenancy.models import LABELS, Tenant

ROLES = [
    (Role.STAFF.value, _("Staff")),
    (Role.CURATOR.value, _("Curator")),
    (Role.TENANT_ADMIN.value, _("Tenant administrator")),
    (Role.SITE_ADMIN.value, _("Site administrator")),
    (Role.OFFICER.value, _("Compliance officer")),
]


class PersonManager(BaseUserManager["Person"]):
    def get_by_natural_key(self, username: str | None) -> Person:
        return self.get(username=(username or "").lower())


class Person(AbstractBaseUser):
    """A person of one tenant. `roles` is a list of `Role` values."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="people")
    username = models.CharField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    roles = models.JSONField(default=list)
    clearance = models.PositiveSmallIntegerField(choices=LABELS, default=Label.INTERNAL)
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=True)
    # Part of what a session is checked against: a new value ends all of the person's sessions.
    session_seed = models.UUIDField(default=uuid4, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[PersonManager] = PersonManager()
    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    def get_session_auth_hash(self) -> str:
        """Sessions end with the password that began them, and with the seed."""
        value = f"{self.session_seed}{self.password}"
        return salted_hmac("muniment.accounts.session", value, algorithm="sha256").hexdigest()


class FailedSignIn(models.Model):
    """A failed try, kept some minutes to make guessing slow. `key` is a keyed hash of name or address."""

    key = models.CharField(max_length=64, db_index=True)
    at = models.DateTimeField(auto_now_add=True)
