"""Writing the trail: one event beside its effect, in the same transaction."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import rfc8785
from django.db import DatabaseError, connection, transaction
from uuid_utils.compat import uuid7

from muniment import __version__
from muniment.audit.actions import CATALOGUE, Outcome, Stage
from muniment.audit.errors import AuditUnavailable
from muniment.audit.macs import MacKeyUnusable, mac
from muniment.audit.merkle import leaf_hash
from muniment.audit.models import AuditEvent, AuditPrivate, AuditSubject
from muniment.scope import Scope
from muniment.wall import within

BODY_VERSION = 1
POLICY_VERSION = 1
# Events that belong to no tenant: a sign-in with an unknown name, a backup.
SITE = UUID(int=0)


@dataclass(frozen=True)
class Thing:
    """What an event is about: a type, a random reference, and where it has them a version hash and a label.

    A thing of type `person` carries the person's id; the body gets their pseudonym.
    """

    type: str
    ref: UUID | str
    version_hash: str = ""
    label: int | None = None


def record(
    scope: Scope,
    action: str,
    thing: Thing | None = None,
    *,
    stage: Stage = Stage.OUTCOME,
    outcome: Outcome = Outcome.DONE,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
    private: Mapping[str, str] | None = None,
) -> UUID:
    """Write an event in the transaction that is open, and give its id.

    `details` go into the body: numbers, ids, hashes and codes only; the id in the detail `person` is written
    as a pseudonym. `private` values stay beside it, the body holds a salted commitment to each. Raises
    `AuditUnavailable` where it cannot be written.
    """
    if not connection.in_atomic_block:
        raise AuditUnavailable("An event is written in the transaction of its effect.")
    known = CATALOGUE[action]
    unknown = (set(details or ()) - known.details) | (set(private or ()) - known.private)
    if unknown:
        raise ValueError(f"{action} has no field {', '.join(sorted(unknown))}.")
    with within(scope.tenant), _writing():
        event_id, now = uuid7(), datetime.now(UTC)
        values = {**(private or {}), **_origin_values(scope)}
        salts = {field: os.urandom(16) for field in values}
        commitments = {field: commitment(salts[field], value) for field, value in values.items()}
        actor_ref = _pseudonym(scope.tenant, scope.person, now.year)
        if thing is not None and thing.type == "person":
            thing = replace(thing, ref=_pseudonym(scope.tenant, thing.ref, now.year))
        if details and details.get("person"):
            details = {**details, "person": _pseudonym(scope.tenant, details["person"], now.year)}
        body = rfc8785.dumps(
            _body(
                scope, action, thing, stage, outcome, reason, details, event_id, now, actor_ref, commitments
            )
        )
        AuditEvent.objects.create(
            event_id=event_id,
            tenant=scope.tenant,
            body=body,
            leaf_hash=leaf_hash(body),
            row_mac=mac(body),
            action=action,
            stage=stage,
            outcome=outcome,
            actor_ref=actor_ref,
            object_type=thing.type if thing else "",
            object_ref=str(thing.ref) if thing else "",
            request_id=scope.origin.request_id,
            occurred_at=now,
        )
        AuditPrivate.objects.bulk_create(
            AuditPrivate(event_id=event_id, tenant=scope.tenant, field=field, salt=salts[field], value=value)
            for field, value in values.items()
        )
        return event_id


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except (DatabaseError, MacKeyUnusable) as error:
        raise AuditUnavailable("The audit trail cannot be written.") from error


def record_alone(scope: Scope, action: str, thing: Thing | None = None, **rest: Any) -> UUID:
    """Write an event in a transaction of its own: an intent before an effect elsewhere, or a refusal.

    A refusal must outlive the rollback that it causes, so this is called when no transaction is open.
    """
    with transaction.atomic(durable=True):
        return record(scope, action, thing, **rest)


def commitment(salt: bytes, value: str) -> str:
    """HMAC-SHA256 of a personal value under its salt, in hexadecimal."""
    return hmac.new(salt, value.encode(), hashlib.sha256).hexdigest()


def _origin_values(scope: Scope) -> dict[str, str]:
    given = {"ip": scope.origin.ip, "account": scope.origin.account}
    return {field: value for field, value in given.items() if value}


def _pseudonym(tenant: UUID, person: UUID | str | None, year: int) -> str:
    if not person:
        return ""
    subject, _ = AuditSubject.objects.get_or_create(
        tenant=tenant, person=person, year=year, defaults={"ref": secrets.token_hex(16)}
    )
    return subject.ref


def _body(
    scope: Scope,
    action: str,
    thing: Thing | None,
    stage: Stage,
    outcome: Outcome,
    reason: str,
    details: Mapping[str, Any] | None,
    event_id: UUID,
    now: datetime,
    actor_ref: str,
    commitments: dict[str, str],
) -> dict[str, Any]:
    roles = ",".join(sorted(scope.roles))
    body: dict[str, Any] = {
        "v": BODY_VERSION,
        "event_id": str(event_id),
        "tenant": str(scope.tenant),
        "ts": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "stage": str(stage),
        "action": action,
        "actor": {
            "ref": actor_ref,
            "kind": scope.origin.kind,
            "roles_hash": hashlib.sha256(roles.encode()).hexdigest(),
            "auth_method": scope.origin.auth_method,
            "session_ref": scope.origin.session_ref,
        },
        "object": None
        if thing is None
        else {
            "type": thing.type,
            "ref": str(thing.ref),
            "version_hash": thing.version_hash,
            "label": thing.label,
        },
        "outcome": str(outcome),
        "reason": reason,
        "request_id": scope.origin.request_id,
        "source": {"ip_commit": commitments.get("ip", ""), "trusted_proxy": scope.origin.trusted_proxy},
        "policy_version": POLICY_VERSION,
        "app_version": __version__,
        "build_digest": "",
        "commitments": commitments,
    }
    if details:
        body["details"] = _plain(details)
    return body


def _plain(value: Any) -> Any:
    """Only what canonical JSON holds exactly: ids become text, sets become sorted lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, UUID) else value
