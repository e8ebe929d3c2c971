"""Taking the trail out: a bundle for the verifier, and the proof of one event.

A bundle is a folder of lines. The same lines, read from the database instead of files, are what
`manage.py audit verify` gives to the verifier.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import rfc8785

from muniment import __version__
from muniment.audit import verifier
from muniment.audit.keys import PublicKey
from muniment.audit.merkle import inclusion
from muniment.audit.models import AuditCheckpoint, AuditEvent, AuditKey, AuditLeaf
from muniment.audit.notes import Note
from muniment.audit.sealing import SITE_LOG
from muniment.wall import within

PAGE = 2000


class NothingSealed(Exception):
    """There is no checkpoint yet, or the event has no leaf yet; the message says so."""


@dataclass(frozen=True)
class Trail:
    """What is taken out: the sealed logs as they are at one checkpoint of the site, whatever is sealed later.

    Events outside `since` and `until` are left out, their leaves are not.
    """

    size: int
    tenants: tuple[UUID, ...]
    all_logs: bool
    made_at: datetime
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def now(
        cls,
        tenants: Iterable[UUID] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Trail:
        last = AuditCheckpoint.objects.filter(tenant=SITE_LOG).order_by("-size").first()
        everybody = AuditCheckpoint.objects.exclude(tenant=SITE_LOG).order_by()
        known = set(everybody.values_list("tenant", flat=True).distinct()) if last else set()
        chosen = known if tenants is None else known & set(tenants)
        return cls(
            last.size if last else 0, tuple(sorted(chosen)), tenants is None, datetime.now(UTC), since, until
        )

    def files(self) -> list[str]:
        site = [f"{verifier.SITE}/{name}" for name in verifier.SITE_FILES]
        logs = [f"logs/{tenant}/{name}" for tenant in self.tenants for name in verifier.LOG_FILES]
        return sorted([verifier.KEYS, verifier.MANIFEST, *logs, *site])

    def read(self, name: str) -> Iterator[bytes]:
        """The lines of a file of the bundle."""
        if name == verifier.MANIFEST:
            yield self._manifest()
        elif name == verifier.KEYS:
            for key in AuditKey.objects.order_by("made_at", "key"):
                yield key.key.encode()
        else:
            folder, _, file = name.rpartition("/")
            tenant = SITE_LOG if folder == verifier.SITE else UUID(folder.removeprefix("logs/"))
            yield from self._of_log(tenant, file)

    def _manifest(self) -> bytes:
        return rfc8785.dumps(
            {
                "format": verifier.FORMAT,
                "app_version": __version__,
                "made_at": _written(self.made_at),
                "logs": [str(tenant) for tenant in self.tenants],
                "all_logs": self.all_logs,
                "since": _written(self.since),
                "until": _written(self.until),
            }
        )

    def _of_log(self, tenant: UUID, file: str) -> Iterator[bytes]:
        if file == "checkpoints":
            for note in _notes(tenant, self._size(tenant)):
                yield json.dumps(note, ensure_ascii=False).encode()
            return
        for leaves in leaves_of(tenant, self._size(tenant)):
            if file == "leaves":
                yield from (bytes(leaf.leaf_hash).hex().encode() for leaf in leaves)
                continue
            bodies = self._bodies(tenant, leaves)
            for leaf in leaves:
                if leaf.event in bodies:
                    yield str(leaf.number).encode() if file == "numbers" else bodies[leaf.event]

    def _size(self, tenant: UUID) -> int:
        """How large the log is in the site's log of that size."""
        if tenant == SITE_LOG:
            return self.size
        newest = AuditCheckpoint.objects.filter(tenant=tenant).order_by("-size").values_list("id", "size")
        with within(SITE_LOG):
            site = AuditLeaf.objects.filter(tenant=SITE_LOG, number__lt=self.size)
            # The first, but for those that were signed since.
            return next((size for id_, size in newest[:PAGE] if site.filter(pk=id_).exists()), 0)

    def _bodies(self, tenant: UUID, leaves: Sequence[AuditLeaf]) -> dict[UUID, bytes]:
        rows = AuditEvent.objects.filter(tenant=tenant, event_id__in=[leaf.event for leaf in leaves])
        if self.since:
            rows = rows.filter(occurred_at__gte=self.since)
        if self.until:
            rows = rows.filter(occurred_at__lt=self.until)
        with within(tenant):
            return {event: bytes(body) for event, body in rows.values_list("event_id", "body")}


def _written(time: datetime | None) -> str | None:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if time else None


def _notes(tenant: UUID, size: int) -> Iterator[str]:
    last = 0
    while True:
        rows = AuditCheckpoint.objects.filter(tenant=tenant, size__gt=last, size__lte=size).order_by("size")
        page = list(rows.values_list("size", "note")[:PAGE])
        if not page:
            return
        yield from (note for _size, note in page)
        last = page[-1][0]


def leaves_of(tenant: UUID, size: int) -> Iterator[list[AuditLeaf]]:
    for start in range(0, size, PAGE):
        until = min(start + PAGE, size)
        # The wall is open for a page alone: several files are read side by side.
        with within(tenant):
            rows = AuditLeaf.objects.filter(tenant=tenant, number__gte=start, number__lt=until)
            page = list(rows.order_by("number"))
        yield page


@dataclass(frozen=True)
class Written:
    """`sha256` is over the list of all files' hashes, and so over everything."""

    events: int
    sha256: str


def write(trail: Trail, folder: Path) -> Written:
    """Write a bundle into a folder that is new or empty. Raises FileExistsError and OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(17, "The folder is not empty", str(folder))
    events, sums = 0, ""
    for name in trail.files():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        count, digest = _write_lines(path, trail.read(name))
        sums += f"{digest}  {name}\n"
        events += count if path.name == "numbers" else 0
    (folder / verifier.SUMS).write_text(sums)
    return Written(events, hashlib.sha256(sums.encode()).hexdigest())


def _write_lines(path: Path, lines: Iterable[bytes]) -> tuple[int, str]:
    count, digest = 0, hashlib.sha256()
    with path.open("xb") as file:
        for line in lines:
            digest.update(line + b"\n")
            file.write(line + b"\n")
            count += 1
    return count, digest.hexdigest()


def proof(tenant: UUID, event: UUID) -> str:
    """A file that shows to whoever has it that the event is in the log (C2SP tlog-proof).

    Raises NothingSealed.
    """
    with within(tenant):
        leaf = AuditLeaf.objects.filter(tenant=tenant, event=event).first()
        body = AuditEvent.objects.filter(tenant=tenant, pk=event).values_list("body", flat=True).first()
        last = AuditCheckpoint.objects.filter(tenant=tenant).order_by("-size").first()
        if leaf is None or body is None or last is None:
            raise NothingSealed("There is no such event here, or it is not sealed yet.")
        hashes = [bytes(leaf.leaf_hash) for leaves in leaves_of(tenant, last.size) for leaf in leaves]
    extra = rfc8785.dumps({"event": bytes(body).decode(), "key": str(signer(last.note))})
    lines = [verifier.PROOF, f"extra {base64.b64encode(extra).decode()}", f"index {leaf.number}"]
    lines += [base64.b64encode(node).decode() for node in inclusion(leaf.number, hashes)]
    return "\n".join([*lines, "", last.note])


def signer(note: str) -> PublicKey:
    """Which of the published keys signed a checkpoint."""
    signatures = Note.parse(note).signatures
    for text in AuditKey.objects.values_list("key", flat=True):
        key = PublicKey.parse(text)
        if any(key.named(signature.name).id == signature.key for signature in signatures):
            return key
    raise NothingSealed("The checkpoint is signed by no key of the log.")
