"""A look at a mapped folder: what is new, changed or gone since the last one is followed in its library.

By polling, which works where the kernel is told of nothing: on NFS and SMB. A look takes only so much; the
rest is there at the next. Each file counts in one transaction, so a look may die anywhere and may be made
twice at once.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from django.db import close_old_connections, connections

from muniment.documents import blobs
from muniment.documents.errors import BadName, EmptyFile, NoRoom, UploadTooLarge
from muniment.documents.uploads import check_size
from muniment.folders import services
from muniment.folders.errors import NotAllowed
from muniment.folders.models import File, Folder
from muniment.folders.queries import followed
from muniment.folders.roots import root_of
from muniment.folders.services import Seen
from muniment.jobs.models import Kind
from muniment.jobs.queries import open_count
from muniment.pages.errors import Conflict
from muniment.scope import Scope
from muniment.tenancy.queries import each_tenant
from muniment.tenancy.services import system_scope
from muniment.wall import within
from workers.upkeep import listing
from workers.upkeep.listing import Listing

log = logging.getLogger(__name__)

# A file that has not changed for so long is not just being written; by the share's clock, not by ours.
SETTLE_SECONDS = 5.0
SECONDS_A_LOOK = 40.0
# So that an upload waits for no more of them.
MOST_IN_QUEUE = 100
# More than so many gone at once, and more than half: rather a share that is away than people tidying up.
GONE_AT_ONCE = 10
# What may be put right without the file changing.
RETRIED = {"no_access", "not_read", UploadTooLarge.code}
PIECE = 1024 * 1024


@dataclass
class Plan:
    """`gone` had a document. `strays` are rows that stand for nothing any more."""

    known: int = 0
    gone: list[File] = field(default_factory=list)
    strays: list[File] = field(default_factory=list)
    fresh: list[Seen] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


_looking: dict[UUID, threading.Thread] = {}


def look_everywhere() -> None:
    """Begin a look at each folder, in a thread of its own: one whose share hangs holds up no other."""
    for tenant in each_tenant():
        for folder in followed(system_scope(tenant.id)):
            before = _looking.get(folder.id)
            if before is None or not before.is_alive():
                thread = threading.Thread(target=_look, args=(tenant.id, folder.id), daemon=True)
                _looking[folder.id] = thread
                thread.start()


def _look(tenant: UUID, folder: UUID) -> None:
    close_old_connections()
    try:
        with within(tenant):
            found = followed(system_scope(tenant)).filter(pk=folder).first()
            if found:
                look(system_scope(tenant), found)
    except Exception:
        log.exception("folder.look_failed folder=%s", folder)
    finally:
        connections.close_all()


def look(scope: Scope, folder: Folder) -> None:
    """Have the library follow what lies in the folder now."""
    try:
        root, way = root_of(scope, folder.path)
        services.follow_no_more(folder)
        # Before the listing: what is known of then and not listed is gone.
        rows = {row.path: row for row in folder.seen.all()}
        with listing.opened(root, way) as opened:
            _Look(folder, opened, rows).go()
    except NotAllowed as error:
        services.note(folder, error.code)
    except NoRoom as error:
        services.note(folder, error.code)
    except listing.TooMany:
        services.note(folder, "too_many")
    except OSError as error:
        log.warning("folder.away folder=%s errno=%s", folder.id, error.errno)
        services.note(folder, "away")
    except Conflict:
        log.info("folder.left folder=%s", folder.id)


class _Look:
    """One look at an open folder."""

    def __init__(self, folder: Folder, opened: int, rows: dict[str, File]) -> None:
        self.folder, self.opened, self.rows = folder, opened, rows
        self.listing = listing.list_files(opened)
        self.listed_at = time.monotonic()

    def go(self) -> None:
        plan = planned(self.rows, self.listing)
        if trouble := self._doubt(plan):
            services.note(self.folder, trouble, missing=len(plan.gone))
        elif self._is_too_much(plan):
            services.stop(self.folder, len(plan.gone), plan.known)
        else:
            self._follow(plan)

    def _doubt(self, plan: Plan) -> str:
        """Why this may not be the folder; "" where it is."""
        if self.folder.marked and not self.listing.marked:
            return "unmarked"
        unsaid = plan.known > self.folder.confirmed and not self.listing.marked
        return "empty" if plan.known and not self.listing.entries and unsaid else ""

    def _is_too_much(self, plan: Plan) -> bool:
        gone = len(plan.gone)
        return gone > max(GONE_AT_ONCE, self.folder.confirmed) and gone > plan.known / 2

    def _follow(self, plan: Plan) -> None:
        services.forget(self.folder, plan.strays)
        for path, code in plan.refused.items():
            services.refuse(self.folder, Seen(path, 0, 0), code)
        still_gone = self._let_go(plan.gone)
        waiting = self._take(plan.fresh)
        services.note(
            self.folder,
            "",
            files=len(self.listing.files),
            waiting=waiting,
            marked=self.listing.marked,
            confirmed=self.folder.confirmed if still_gone else 0,
        )

    def _is_over(self) -> bool:
        return time.monotonic() - self.listed_at > SECONDS_A_LOOK

    def _let_go(self, gone: Iterable[File]) -> bool:
        """False when all are done."""
        for file in gone:
            if self._is_over():
                return True
            if listing.is_gone(self.opened, self._name(file.path)):
                services.let_go(self.folder, file)
        return False

    def _take(self, fresh: list[Seen]) -> int:
        """As many as there is time and room for; gives how many are left."""
        if fresh:
            time.sleep(max(0.0, self.listed_at + SETTLE_SECONDS - time.monotonic()))
        for at, seen in enumerate(fresh):
            if self._is_over() or open_count(Kind.INGEST) >= MOST_IN_QUEUE:
                return len(fresh) - at
            self._take_one(seen)
        return 0

    def _take_one(self, seen: Seen) -> None:
        try:
            check_size(seen.size)
            self._bring_in(seen)
        except (EmptyFile, UploadTooLarge, BadName) as problem:
            services.refuse(self.folder, seen, problem.code)
        except PermissionError:
            services.refuse(self.folder, seen, "no_access")
        except OSError as error:
            if listing.has_changed(error):
                return
            if not listing.answers(self.opened):
                raise
            services.refuse(self.folder, seen, "not_read")

    def _bring_in(self, seen: Seen) -> None:
        part = blobs.part_path(self.folder.tenant, uuid4())
        part.parent.mkdir(parents=True, exist_ok=True)
        descriptor = listing.open_file(self.opened, self._name(seen.path))
        try:
            sha256 = copied(descriptor, part, seen)
            if sha256:
                blobs.sync(part)
                services.take(self.folder, seen, part, sha256)
        finally:
            os.close(descriptor)
            part.unlink(missing_ok=True)

    def _name(self, path: str) -> str:
        return self.listing.names.get(path, path)


def planned(rows: dict[str, File], seen: Listing) -> Plan:
    """What differs between what is known and what was listed."""
    plan = Plan(known=sum(row.document_id is not None for row in rows.values()))
    for path, row in rows.items():
        if path in seen.files or not seen.saw(path):
            continue
        if row.document_id is not None:
            plan.gone.append(row)
        elif path not in seen.refused:
            plan.strays.append(row)
    gone = {row.path for row in plan.gone}
    plan.refused = {
        path: code
        for path, code in seen.refused.items()
        if path not in gone and (path not in rows or rows[path].trouble != code)
    }
    again = []
    for path, file in seen.files.items():
        known = rows.get(path)
        if known is None or _differs(known, file):
            plan.fresh.append(file)
        elif known.trouble in RETRIED:
            again.append(file)
    plan.fresh += again
    return plan


def _differs(row: File, seen: Seen) -> bool:
    return row.trouble != services.TAKEN_OUT and (row.size, row.mtime_ns) != (seen.size, seen.mtime_ns)


def copied(descriptor: int, part: Path, seen: Seen) -> str:
    """The SHA-256 of what was copied; "" where the file is not, or not any more, as it was seen."""
    digest = hashlib.sha256()
    if not _is_as_seen(descriptor, seen):
        return ""
    with part.open("xb") as file:
        while piece := os.read(descriptor, PIECE):
            digest.update(piece)
            _write(file.fileno(), piece)
    same = _is_as_seen(descriptor, seen) and part.stat().st_size == seen.size
    return digest.hexdigest() if same else ""


def _is_as_seen(descriptor: int, seen: Seen) -> bool:
    found = os.fstat(descriptor)
    return (found.st_size, found.st_mtime_ns) == (seen.size, seen.mtime_ns)


def _write(descriptor: int, piece: bytes) -> None:
    try:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoRoom from error
        raise
