"""Sealing: events that wait get their leaves, and a signed checkpoint states the tree's size and root.

Each tenant has a tree of its own. Each checkpoint of a tenant is a leaf of the site's log, so that no
tenant's log can vanish. One pass is one transaction: a process that is killed leaves nothing half done, and
whoever comes next goes on from what the database holds. What was signed last is kept beside the key as well:
a database that went back to an older state is noticed before another tree of the same size is signed.

Writers are never held up: they only add to the queue, which is read by what it holds and not by a number that
a late commit could fall behind.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from muniment.audit.keys import PublicKey, SigningKey
from muniment.audit.merkle import BadProof, Frontier, leaf_hash, root_of
from muniment.audit.models import AuditCheckpoint, AuditEvent, AuditKey, AuditLeaf, AuditPending
from muniment.audit.notes import BadNote, Checkpoint, Note
from muniment.wall import within

# The log whose leaves are all tenants' checkpoints.
SITE_LOG = UUID(int=1)
SITE_NAME = "site"
# A pass holds the only write lock of SQLite; so many take some tens of milliseconds.
BATCH = 2000
# One sequencer at a time on PostgreSQL; on SQLite a transaction is alone anyway.
LOCK = 6_847_335_001

logger = logging.getLogger(__name__)
_told: set[UUID] = set()


class LogBroken(Exception):
    """The log in the database is not the one that was signed last; the message says what to do."""


@dataclass(frozen=True)
class Memory:
    """The site's checkpoint that was signed last, in a file beside the key."""

    path: Path

    def last(self) -> str:
        """ "" where nothing was signed yet."""
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return ""

    def keep(self, note: str) -> None:
        fresh = self.path.with_name(f"{self.path.name}.part")
        with fresh.open("w") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


@dataclass
class Log:
    """A tenant's tree, or the site's, as it goes on."""

    tenant: UUID
    origin: str
    tree: Frontier

    def add(self, hashes: Iterable[tuple[UUID, bytes]]) -> None:
        leaves = []
        for number, (event, digest) in enumerate(hashes, self.tree.size):
            leaves.append(AuditLeaf(event=event, tenant=self.tenant, number=number, leaf_hash=digest))
            self.tree.append(digest)
        AuditLeaf.objects.bulk_create(leaves)

    def sign(self, key: SigningKey) -> AuditCheckpoint:
        text = str(Checkpoint(self.origin, self.tree.size, self.tree.root()))
        return AuditCheckpoint.objects.create(
            id=uuid7(),
            tenant=self.tenant,
            size=self.tree.size,
            note=key.named(self.origin).sign(text),
            frontier=self.tree.dump(),
            made_at=datetime.now(UTC),
        )


def seal(key: SigningKey, memory: Memory) -> int:
    """Seal what waits, at most BATCH events a tenant; gives how many.

    Raises LogBroken; DatabaseError and OSError where something cannot be written, and then nothing is sealed.
    """
    if not AuditPending.objects.exists():
        return 0
    with transaction.atomic(durable=True):
        _wait_for_others()
        _publish(key.public)
        site = _site_log(key.name, memory)
        count, checkpoints = 0, []
        for tenant in AuditPending.objects.order_by().values_list("tenant", flat=True).distinct():
            with within(tenant):
                sealed = _seal_tenant(key, site.origin, tenant)
            if sealed:
                count += sealed[0]
                checkpoints.append(sealed[1])
        if not checkpoints:
            return 0
        with within(SITE_LOG):
            site.add((checkpoint.id, leaf_hash(checkpoint.note.encode())) for checkpoint in checkpoints)
            signed = site.sign(key)
    memory.keep(signed.note)
    return count


def _wait_for_others() -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _publish(key: PublicKey) -> None:
    if not AuditKey.objects.filter(key=str(key)).exists():
        AuditKey.objects.create(key=str(key), made_at=datetime.now(UTC))


def _seal_tenant(key: SigningKey, site: str, tenant: UUID) -> tuple[int, AuditCheckpoint] | None:
    """How many events were sealed and the checkpoint; None where none could be.

    An event that is gone, or that no longer has the hash it was written with, keeps its place in the queue:
    whoever verifies finds it there.
    """
    here = AuditEvent.objects.filter(tenant=tenant)
    waiting = list(
        AuditPending.objects.filter(tenant=tenant, event__in=here.values("event_id")).order_by("id")[:BATCH]
    )
    ids = [row.event for row in waiting]
    events = {event.event_id: event for event in here.filter(event_id__in=ids).only("leaf_hash", "body")}
    done = set(AuditLeaf.objects.filter(event__in=ids).values_list("event", flat=True))
    fresh: dict[UUID, bytes] = {}
    for id_ in ids:
        digest = leaf_hash(bytes(events[id_].body))
        if digest != bytes(events[id_].leaf_hash):
            _tell_once(id_)
        elif id_ not in done:
            fresh[id_] = digest
    checkpoint = None
    if fresh:
        log = _log(tenant, site.removesuffix(SITE_NAME) + str(tenant))
        log.add(fresh.items())
        checkpoint = log.sign(key)
    gone = [row.id for row in waiting if row.event in done or row.event in fresh]
    AuditPending.objects.filter(id__in=gone).delete()
    return (len(fresh), checkpoint) if checkpoint else None


def _tell_once(event: UUID) -> None:
    if event not in _told:
        _told.add(event)
        logger.error("The event %s was changed before it was sealed.", event)


def _site_log(name: str, memory: Memory) -> Log:
    with within(SITE_LOG):
        log = _log(SITE_LOG, f"{name}/{SITE_NAME}")
        if last := memory.last():
            _require_grown(log, last)
    return log


def _log(tenant: UUID, origin: str) -> Log:
    """A log as its last checkpoint left it; a new one where there is none. Raises LogBroken."""
    last = AuditCheckpoint.objects.filter(tenant=tenant).order_by("-size").first()
    if last is None:
        return Log(tenant, origin, Frontier())
    try:
        signed = checked(last.note)
        tree = Frontier.load(last.size, bytes(last.frontier))
    except (BadNote, BadProof) as error:
        raise LogBroken(f"The last checkpoint of the log {tenant} was changed ({error})") from error
    if (signed.size, signed.root) != (tree.size, tree.root()):
        raise LogBroken(f"The last checkpoint of the log {tenant} was changed.")
    return Log(tenant, signed.origin, tree)


def checked(note: str) -> Checkpoint:
    """A checkpoint that one of the log's keys signed. Raises BadNote."""
    checkpoint = Checkpoint.parse(Note.parse(note).text)
    for text in AuditKey.objects.values_list("key", flat=True):
        key = PublicKey.parse(text).named(checkpoint.origin)
        if any(signature.key == key.id for signature in Note.parse(note).signatures):
            key.check(note)
            return checkpoint
    raise BadNote("It is not signed by a key of the log.")


def _require_grown(log: Log, last: str) -> None:
    """The site's log goes on from what was signed last, or, after a crash, from a little later."""
    remembered = Checkpoint.parse(Note.parse(last).text)
    if (log.tree.size, log.tree.root()) == (remembered.size, remembered.root):
        return
    leaves = AuditLeaf.objects.filter(tenant=SITE_LOG, number__lt=remembered.size).order_by("number")
    hashes = [bytes(digest) for digest in leaves.values_list("leaf_hash", flat=True)]
    if log.tree.size < remembered.size or root_of(hashes) != remembered.root:
        raise LogBroken(
            f"The log in the database does not go on from the checkpoint that was signed last (size "
            f"{remembered.size}; the database has {log.tree.size}). Was an older state of the database put "
            "in place? Nothing is sealed until somebody decides: see deploy/AUDIT.md."
        )
