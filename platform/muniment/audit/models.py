"""The trail. Events are only ever inserted; triggers in the database refuse everything else.

No foreign key leads to a table that can change: every reference is a value.
"""

from __future__ import annotations

from django.db import models


class AuditEvent(models.Model):
    """`body` is the exact canonical JSON (RFC 8785) that is hashed; other columns are copies to search by."""

    event_id = models.UUIDField(primary_key=True)
    tenant = models.UUIDField()
    body = models.BinaryField()
    leaf_hash = models.BinaryField(max_length=32)
    action = models.CharField(max_length=64)
    stage = models.CharField(max_length=16)
    outcome = models.CharField(max_length=16)
    actor_ref = models.CharField(max_length=32, blank=True)
    object_type = models.CharField(max_length=32, blank=True)
    object_ref = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    occurred_at = models.DateTimeField()

    class Meta:
        db_table = "audit_event"
        indexes = [
            models.Index(fields=["tenant", "-occurred_at"], name="audit_tenant_time"),
            models.Index(fields=["tenant", "action", "-occurred_at"], name="audit_tenant_action"),
            models.Index(fields=["tenant", "actor_ref", "-occurred_at"], name="audit_tenant_actor"),
            models.Index(fields=["tenant", "object_ref", "-occurred_at"], name="audit_tenant_object"),
        ]


class AuditPrivate(models.Model):
    """A personal value beside its event, with the salt of the commitment that the body holds."""

    event_id = models.UUIDField()
    tenant = models.UUIDField()
    field = models.CharField(max_length=32)
    salt = models.BinaryField(max_length=16)
    value = models.TextField()

    class Meta:
        db_table = "audit_private"
        constraints = [models.UniqueConstraint(fields=["event_id", "field"], name="audit_private_once")]


class AuditSubject(models.Model):
    """Which person a pseudonym stands for. A new random one each year limits what can be linked."""

    tenant = models.UUIDField()
    person = models.UUIDField()
    year = models.PositiveSmallIntegerField()
    ref = models.CharField(max_length=32, unique=True)

    class Meta:
        db_table = "audit_subject"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "person", "year"], name="audit_subject_once")
        ]
