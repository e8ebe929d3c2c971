"""The trail as lines of a file, in one of three formats; only a page of events is in memory at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from django.db.models import QuerySet
from django.utils.timezone import localtime

from muniment.audit.models import AuditEvent
from muniment.audit.queries import body_of, events_in_turn, models_of_answers
from muniment.desk import ocsf
from muniment.desk.queries import Row, rows
from muniment.scope import Scope

PAGE = 500
COLUMNS = ("time", "who", "did", "what", "where", "outcome", "action", "event")
# A spreadsheet takes a field that begins so for a formula, or looks behind it for one.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\0")


class Format(StrEnum):
    """JSONL are the bodies as they were hashed; CSV is what the trail's page shows."""

    JSONL = "jsonl"
    CSV = "csv"
    OCSF = "ocsf"


MEDIA_TYPES = {
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.OCSF: "application/x-ndjson",
}
ENDINGS = {Format.JSONL: "jsonl", Format.CSV: "csv", Format.OCSF: "ocsf.jsonl"}


def pieces(scope: Scope, events: QuerySet[AuditEvent], form: Format) -> Iterator[tuple[int, bytes]]:
    """How many events a piece of the file stands for, and its bytes; the newest event first."""
    if form == Format.CSV:
        yield 0, _csv([COLUMNS])
    for page in events_in_turn(events, PAGE):
        yield len(page), _piece(scope, page, form)


def _piece(scope: Scope, page: Sequence[AuditEvent], form: Format) -> bytes:
    if form == Format.CSV:
        shown = zip(rows(scope, page), page, strict=True)
        return _csv(_fields(row, event) for row, event in shown)
    if form == Format.JSONL:
        return b"".join(bytes(event.body) + b"\n" for event in page)
    models = models_of_answers(scope, page)
    return b"".join(ocsf.line(body_of(event), models.get(event.object_ref, "")) + b"\n" for event in page)


def _fields(row: Row, event: AuditEvent) -> Sequence[str]:
    time = localtime(row.time).isoformat(timespec="milliseconds")
    return (time, row.who, row.did, row.what, row.where, row.outcome_text, event.action, str(row.id))


def _csv(lines: Iterable[Sequence[str]]) -> bytes:
    """As RFC 4180 has it."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(
        [_no_formula(field) for field in line] for line in lines
    )
    return text.getvalue().encode()


def _no_formula(field: str) -> str:
    return f"'{field}" if field.startswith(FORMULA) else field
