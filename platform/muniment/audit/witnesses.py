"""A checkpoint that a witness on another machine kept and cosigned, compared with the log here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Max

from muniment.audit.bundles import leaves_of
from muniment.audit.merkle import root_of
from muniment.audit.models import AuditCheckpoint, AuditLeaf
from muniment.audit.notes import BadNote, Checkpoint, Note, Signature
from muniment.audit.sealing import SITE_LOG, checked
from muniment.wall import within

# C2SP tlog-cosignature v1: seconds since 1970, then an Ed25519 signature.
_TIME, _COSIGNED = 8, 72


class NotOfThisLog(Exception):
    """It is no checkpoint of this installation's log, or no witness cosigned it."""


class OtherPast(Exception):
    """An alarm: the log's own key signed it, and the log here is not its continuation.

    `reason` is went_back or other_root; `size` the witness's number of leaves, `here` the log's.
    """

    def __init__(self, reason: str, size: int, here: int, key: str) -> None:
        super().__init__(reason)
        self.reason, self.size, self.here, self.key = reason, size, here, key


@dataclass(frozen=True)
class Witnessed:
    """`size` counts the leaves of the site's log, `events` those of a tenant that they seal.

    `key` is the ID of the witness's key in hexadecimal. That key is not known here, so who uses an ID is not
    checked, nor the time: whoever compares has the witness's own word.
    """

    size: int
    events: int
    key: str
    at: datetime


def compare(tenant: UUID, written: str) -> Witnessed:
    """Raises NotOfThisLog, OtherPast."""
    newest = AuditCheckpoint.objects.filter(tenant=SITE_LOG).order_by("-size").first()
    try:
        note = Note.parse(written)
        seen = checked(written)
        here = Checkpoint.parse(Note.parse(newest.note).text) if newest else None
    except BadNote as problem:
        raise NotOfThisLog from problem
    cosigned = [one for one in note.signatures if len(one.signed) == _COSIGNED and one.name != seen.origin]
    if here is None or seen.origin != here.origin or not cosigned:
        raise NotOfThisLog
    last = max(cosigned, key=_moment)
    key = last.key.hex()
    if seen.size > here.size:
        raise OtherPast("went_back", seen.size, here.size, key)
    pages = leaves_of(SITE_LOG, seen.size)
    if root_of(bytes(leaf.leaf_hash) for page in pages for leaf in page) != seen.root:
        raise OtherPast("other_root", seen.size, here.size, key)
    try:
        at = datetime.fromtimestamp(_moment(last), UTC)
    except (ValueError, OverflowError, OSError) as problem:
        raise NotOfThisLog from problem
    return Witnessed(seen.size, _sealed_by(tenant, seen.size), key, at)


def _moment(cosignature: Signature) -> int:
    return int.from_bytes(cosignature.signed[:_TIME], "big")


def _sealed_by(tenant: UUID, size: int) -> int:
    """How many events of a tenant are under so many leaves of the site's log."""
    with within(SITE_LOG):
        leaves = AuditLeaf.objects.filter(tenant=SITE_LOG, number__lt=size).values("event")
        rows = AuditCheckpoint.objects.filter(tenant=tenant, id__in=leaves)
        return rows.aggregate(most=Max("size"))["most"] or 0
