"""Taking the trail out at the desk. What leaves is made whole first, then written down, then sent."""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from muniment.audit import actions, bundles, witnesses
from muniment.audit.actions import Outcome, Stage
from muniment.audit.queries import TrailFilter, body_of, checkpoint_of, event, newest_checkpoint, trail
from muniment.audit.services import Thing, record_alone
from muniment.audit.witnesses import NotOfThisLog, OtherPast, Witnessed
from muniment.desk.exports import ENDINGS, Format, pieces
from muniment.desk.queries import is_export, require_officer
from muniment.documents.errors import NoRoom
from muniment.pages.errors import Conflict, Invalid, NotFound, TooLarge
from muniment.pages.templatetags.muniment_pages import thousands
from muniment.scope import Scope

MANIFEST_FORMAT = 1


class TooManyEvents(TooLarge):
    code = "too_many_events"


class NotSealed(Conflict):
    code = "not_sealed"
    detail = gettext_lazy("This event is not sealed yet, so nothing proves it. Try again in a few seconds.")


class NotACheckpoint(Invalid):
    code = "not_a_checkpoint"
    detail = gettext_lazy(
        "This is no checkpoint of this installation's log that a witness signed. `muniment-verify witness` "
        "keeps one as the file `checkpoint` in its folder."
    )


class SawAnotherPast(Conflict):
    code = "other_past"


OTHER_PAST = {
    "other_root": gettext_lazy(
        "Alarm: the log of this installation signed this checkpoint of %(size)s leaves, and what it holds "
        "there now is something else. The past was changed, and was signed again. Keep the database, its "
        "backups and the witness's folder as evidence."
    ),
    "went_back": gettext_lazy(
        "Alarm: the witness saw %(size)s leaves that the log of this installation signed, and %(here)s are "
        "here. An older state was put in place. If nobody restored a backup, keep the database, its backups "
        "and the witness's folder as evidence."
    ),
}


@dataclass(frozen=True)
class Export:
    """A file without a name, gone once it is closed; `event` says in the trail that it was taken."""

    file: IO[bytes]
    format: Format
    bytes: int
    event: UUID
    told: dict[str, Any]

    @property
    def name(self) -> str:
        return f"trail-{self.event.hex[-8:]}.{ENDINGS[self.format]}"


def too_many(fitting: int) -> str:
    """The sentence for filters that more events fit than are taken out at once; "" where they are few."""
    if fitting <= settings.TRAIL_EXPORT_EVENTS:
        return ""
    return _(
        "%(n)s events fit, and %(limit)s are taken out at once at most. Choose a shorter time, or have the "
        "site administrator run `manage.py audit export`."
    ) % {"n": thousands(fitting), "limit": thousands(settings.TRAIL_EXPORT_EVENTS)}


def export(scope: Scope, wanted: TrailFilter, form: Format) -> Export:
    """What the filters show, as a file that waits to be sent; the trail says so already.

    Raises TooManyEvents, NoRoom, AuditUnavailable.
    """
    require_officer(scope)
    # What comes in meanwhile, this export's own event among it, is in none of its pages.
    now = timezone.now()
    events = trail(scope, replace(wanted, until=min(wanted.until or now, now)))
    if sentence := too_many(events.count()):
        raise TooManyEvents(sentence)
    sealed = newest_checkpoint(scope)
    folder = Path(settings.UPLOAD_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    # Not in the folder for such files: on a site that is memory.
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by who sends it
    try:
        count, digest, size = _write(file, pieces(scope, events, form))
        told = {
            "events": count,
            "sha256": digest,
            "bytes": size,
            "format": str(form),
            "size": sealed.size if sealed else 0,
            **_filters(wanted),
        }
        private = {"object": wanted.thing} if wanted.thing else {}
        taken = record_alone(
            scope,
            actions.TRAIL_EXPORTED,
            stage=Stage.INTENT,
            outcome=Outcome.PENDING,
            details=told,
            private=private,
        )
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return Export(file, form, size, taken, told)


def _write(file: IO[bytes], parts: Iterator[tuple[int, bytes]]) -> tuple[int, str, int]:
    """How many events were written, the file's SHA-256 and its bytes."""
    events, size, digest = 0, 0, hashlib.sha256()
    try:
        for count, part in parts:
            file.write(part)
            digest.update(part)
            events, size = events + count, size + len(part)
        file.flush()
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoRoom from error
        raise
    return events, digest.hexdigest(), size


def _filters(wanted: TrailFilter) -> dict[str, Any]:
    """Without what somebody typed: the trail has that beside the event."""
    return {
        "filters": wanted.names(),
        "since": _written(wanted.since),
        "until": _written(wanted.until),
        "action": wanted.action,
        "outcome": wanted.outcome,
        "person": wanted.person,
    }


def _written(time: datetime | None) -> str | None:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if time else None


def record_export_ended(scope: Scope, made: Export, complete: bool) -> None:
    """The outcome: whether the last byte was handed over or the connection broke before."""
    record_alone(
        scope,
        actions.TRAIL_EXPORTED,
        Thing("event", made.event),
        outcome=Outcome.DONE if complete else Outcome.FAILED,
        details=made.told,
    )


def manifest(scope: Scope, taken: UUID) -> dict[str, Any]:
    """What lies beside a file that was taken out, so that somebody can compare it. Raises NotFound.

    It says what the trail's event says. No key signs it: whoever doubts it asks for the proof of that event.
    """
    require_officer(scope)
    row = event(scope, taken)
    if row is None or not is_export(row):
        raise NotFound
    body = body_of(row)
    told = body["details"]
    sealed = checkpoint_of(scope, told["size"])
    record_alone(scope, actions.TRAIL_VIEWED, Thing("event", taken), details={"events": 1, "filters": []})
    return {
        "manifest": MANIFEST_FORMAT,
        "event": str(taken),
        "tenant": str(scope.tenant),
        "made_at": body["ts"],
        "app_version": body["app_version"],
        "format": told["format"],
        "sha256": told["sha256"],
        "bytes": told["bytes"],
        "events": told["events"],
        "filters": {
            **{name: told[name] for name in ("since", "until", "action", "outcome", "person")},
            "about": "thing" in told["filters"],
        },
        "checkpoint": sealed.note if sealed else None,
    }


def prove(scope: Scope, wanted: UUID) -> str:
    """The file that `manage.py audit prove` writes, of an event of the tenant. Raises NotFound, NotSealed."""
    require_officer(scope)
    if event(scope, wanted) is None:
        raise NotFound
    try:
        text = bundles.proof(scope.tenant, wanted)
    except bundles.NothingSealed as problem:
        raise NotSealed from problem
    record_alone(scope, actions.EVENT_PROVED, Thing("event", wanted))
    return text


def take_witness(scope: Scope, written: str) -> Witnessed:
    """Compare a witness's checkpoint with the log. Raises NotACheckpoint, and SawAnotherPast: an alarm.

    The alarm is in the trail before it is raised.
    """
    require_officer(scope)
    try:
        found = witnesses.compare(scope.tenant, written)
    except NotOfThisLog as problem:
        raise NotACheckpoint from problem
    except OtherPast as alarm:
        record_alone(
            scope,
            actions.TRAIL_WITNESSED,
            outcome=Outcome.FAILED,
            reason=alarm.reason,
            details={"size": alarm.size, "here": alarm.here, "key": alarm.key},
        )
        words = {"size": thousands(alarm.size), "here": thousands(alarm.here)}
        raise SawAnotherPast(OTHER_PAST[alarm.reason] % words) from alarm
    record_alone(
        scope,
        actions.TRAIL_WITNESSED,
        details={
            "size": found.size,
            "events": found.events,
            "key": found.key,
            "at": found.at.isoformat(timespec="seconds"),
        },
    )
    return found
