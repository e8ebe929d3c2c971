"""`Scope`: the frozen value that says who may see what.

Every function that reads or changes a tenant's data takes one as its first argument. Only tenancy makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from uuid import UUID


class Label(IntEnum):
    """How secret a document is. A person sees labels up to their clearance."""

    PUBLIC = 0
    INTERNAL = 1
    CONFIDENTIAL = 2
    SECRET = 3


class Role(StrEnum):
    STAFF = "staff"
    CURATOR = "curator"
    TENANT_ADMIN = "tenant_admin"
    SITE_ADMIN = "site_admin"
    OFFICER = "officer"


ADMIN_ROLES = frozenset({Role.TENANT_ADMIN, Role.SITE_ADMIN})


@dataclass(frozen=True)
class Origin:
    """How a request came in. `kind` is person, cli or system; ip and account are personal data."""

    kind: str = "system"
    auth_method: str = ""
    session_ref: str = ""
    request_id: str = ""
    ip: str = ""
    account: str = ""
    trusted_proxy: bool = False


@dataclass(frozen=True)
class Scope:
    """Who acts, in which tenant, and what they may read and contribute to.

    `person` is None for work of the system itself, which then reads no library.
    """

    tenant: UUID
    person: UUID | None = None
    roles: frozenset[Role] = frozenset()
    libraries: frozenset[UUID] = frozenset()
    contributes: frozenset[UUID] = frozenset()
    curates: frozenset[UUID] = frozenset()
    clearance: int = Label.PUBLIC
    origin: Origin = field(default_factory=Origin)

    @property
    def is_admin(self) -> bool:
        """May administer people, teams and libraries of this tenant."""
        return bool(self.roles & ADMIN_ROLES)

    @property
    def is_officer(self) -> bool:
        return Role.OFFICER in self.roles
