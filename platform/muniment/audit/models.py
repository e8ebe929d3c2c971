"""The trail and its sealed log. Rows are only ever inserted; triggers in the database refuse everything else.

No foreign key leads to a table that can change: every reference is a value.
"""

from __future__ import annotations

from django.db import models


class AuditEvent(models.Model):
    """`body` is the exact canonical JSON (RFC 8785) that is hashed; other columns are copies to search by.

    `row_mac` shows that the application wrote the row; events from before there was a sealed log have none.
    """

    event_id = models.UUIDField(primary_key=True)
    tenant = models.UUIDField()
    body = models.BinaryField()
    leaf_hash = models.BinaryField(max_length=32)
    row_mac = models.BinaryField(max_length=32, null=True)
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


class AuditPending(models.Model):
    """An event that waits for its seal; the database puts it here. A place goes once there is a leaf."""

    id = models.BigAutoField(primary_key=True)
    event = models.UUIDField()
    tenant = models.UUIDField()

    class Meta:
        db_table = "audit_pending"
        indexes = [models.Index(fields=["tenant", "id"], name="audit_pending_tenant")]


class AuditLeaf(models.Model):
    """A leaf of a tenant's tree, numbered from 0; in the site's log the event is a checkpoint."""

    event = models.UUIDField(primary_key=True)
    tenant = models.UUIDField()
    number = models.BigIntegerField()
    leaf_hash = models.BinaryField(max_length=32)

    class Meta:
        db_table = "audit_leaf"
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="audit_leaf_once")]


class AuditCheckpoint(models.Model):
    """A signed statement of a tree's size and root. The tree goes on from `frontier`; the root proves it."""

    id = models.UUIDField(primary_key=True)
    tenant = models.UUIDField()
    size = models.BigIntegerField()
    note = models.TextField()
    frontier = models.BinaryField()
    made_at = models.DateTimeField()

    class Meta:
        db_table = "audit_checkpoint"
        constraints = [models.UniqueConstraint(fields=["tenant", "size"], name="audit_checkpoint_once")]


class AuditKey(models.Model):
    """A public key that signed checkpoints, as NAME+ID+KEY."""

    key = models.CharField(max_length=255, primary_key=True)
    made_at = models.DateTimeField()

    class Meta:
        db_table = "audit_key"
