"""A log for tests: a key in a folder, sealing as the sequencer does, and what must always hold."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from uuid import UUID

from muniment.audit import sealing
from muniment.audit.keys import SigningKey, signing_key
from muniment.audit.merkle import leaf_hash, root_of
from muniment.audit.models import AuditCheckpoint, AuditEvent, AuditLeaf, AuditPending
from muniment.audit.sealing import SITE_LOG, Memory
from tests.roles import as_sequencer


class Sealer:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder

    @property
    def key(self) -> SigningKey:
        return signing_key(self.folder, "log")

    def twin(self) -> Sealer:
        """As on a second host that was given the same key."""
        folder = self.folder.with_name("twin")
        folder.mkdir()
        signing_key(self.folder, "log")
        shutil.copy2(self.folder / "log.key", folder)
        return Sealer(folder)

    @property
    def memory(self) -> Memory:
        return Memory(self.folder / "last")

    def once(self) -> int:
        with as_sequencer():
            return sealing.seal(self.key, self.memory)

    def all(self) -> int:
        count = 0
        while sealed := self.once():
            count += sealed
        return count


def require_whole(key: SigningKey) -> dict[UUID, int]:
    """None lost, none twice, no fork: what holds at any moment. Gives the size of each log."""
    events = {event.event_id: event for event in AuditEvent.objects.all()}
    notes = {row.id: row for row in AuditCheckpoint.objects.all()}
    logs: dict[UUID, list[AuditLeaf]] = {}
    for leaf in AuditLeaf.objects.order_by("number"):
        logs.setdefault(leaf.tenant, []).append(leaf)
    sealed = [leaf.event for tenant, leaves in logs.items() if tenant != SITE_LOG for leaf in leaves]
    waiting = Counter(AuditPending.objects.values_list("event", flat=True))
    assert len(sealed) == len(set(sealed))
    assert not set(sealed) & set(waiting)
    assert set(sealed) | set(waiting) == set(events)
    assert set(waiting.values()) <= {1}
    for tenant, leaves in logs.items():
        assert [leaf.number for leaf in leaves] == list(range(len(leaves)))
        for leaf in leaves:
            data = notes[leaf.event].note.encode() if tenant == SITE_LOG else bytes(events[leaf.event].body)
            assert bytes(leaf.leaf_hash) == leaf_hash(data)
    for row in notes.values():
        checkpoint = sealing.checked(row.note)
        hashes = [bytes(leaf.leaf_hash) for leaf in logs[row.tenant][: row.size]]
        assert checkpoint.origin == f"{key.name}/{'site' if row.tenant == SITE_LOG else row.tenant}"
        assert (checkpoint.size, checkpoint.root) == (row.size, root_of(hashes)), row.tenant
    site = {leaf.event for leaf in logs.get(SITE_LOG, [])}
    assert site == {row.id for row in notes.values() if row.tenant != SITE_LOG}
    sizes = {tenant: len(leaves) for tenant, leaves in logs.items()}
    assert {row.tenant: row.size for row in sorted(notes.values(), key=lambda row: row.size)} == sizes
    return sizes
