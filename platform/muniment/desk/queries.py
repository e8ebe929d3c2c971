"""The trail as an officer reads it: events in words, with the names behind the references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from muniment.accounts.models import ROLES
from muniment.accounts.queries import names_of
from muniment.audit import actions
from muniment.audit.actions import CATALOGUE, OUTCOME_WORDS, Outcome, Stage
from muniment.audit.models import AuditEvent
from muniment.audit.queries import (
    TrailFilter,
    body_of,
    names_of_things,
    people_behind,
    private_values,
    sealed_among,
    trail,
)
from muniment.pages.errors import Forbidden
from muniment.scope import Scope
from muniment.tenancy.models import LABELS, Level
from muniment.tenancy.queries import library_names

# So much of what was asked or typed is shown, and taken out as a table.
WHAT_CHARS = 80
EXPORTS = 5
# So many comparisons with a witness are looked at; one a week is usual.
WITNESSES = 200
# The first of these that an event has says what it is about.
_SUBJECTS = ("question", "query", "name", "title", "username", "path")


@dataclass(frozen=True)
class Row:
    """An event in words. `number` is the end of its id; `sealed` events can be proved."""

    id: UUID
    number: str
    time: datetime
    who: str
    did: str
    what: str
    where: str
    outcome: str
    outcome_text: str
    sealed: bool


@dataclass(frozen=True)
class _Names:
    people: Mapping[str, str]
    things: Mapping[str, str]
    libraries: Mapping[UUID, str]
    private: Mapping[UUID, Mapping[str, str]]
    sealed: frozenset[UUID]


def require_officer(scope: Scope) -> None:
    if not scope.is_officer:
        raise Forbidden


def rows(scope: Scope, events: Sequence[AuditEvent]) -> list[Row]:
    """Events in words, in a number of queries that does not depend on how many they are."""
    require_officer(scope)
    bodies = [body_of(event) for event in events]
    known = _names(scope, events, bodies)
    return [_row(event, body, known) for event, body in zip(events, bodies, strict=True)]


def _names(scope: Scope, events: Sequence[AuditEvent], bodies: Sequence[dict[str, Any]]) -> _Names:
    behind = people_behind(scope, events)
    called = names_of(scope, behind.values())
    libraries = {library for body in bodies for library in _libraries(body)}
    return _Names(
        people={ref: called[person] for ref, person in behind.items() if person in called},
        things=names_of_things(scope, events),
        libraries=library_names(scope, libraries),
        private=private_values(scope, events),
        sealed=frozenset(sealed_among(scope, events)),
    )


def _row(event: AuditEvent, body: dict[str, Any], known: _Names) -> Row:
    return Row(
        id=event.event_id,
        number=event.event_id.hex[-8:],
        time=event.occurred_at,
        who=_who(body["actor"], known),
        did=str(CATALOGUE[event.action].verb) if event.action in CATALOGUE else event.action,
        what=_what(event, body.get("details", {}), known),
        where=", ".join(known.libraries.get(library, "") for library in _libraries(body)),
        outcome=event.outcome,
        outcome_text=str(OUTCOME_WORDS[Outcome(event.outcome)]),
        sealed=event.event_id in known.sealed,
    )


def _who(actor: Mapping[str, str], known: _Names) -> str:
    if actor["kind"] == "system":
        return _("the system")
    name = known.people.get(actor["ref"], "")
    if actor["ref"] and not name:
        name = _("a person who is no longer known")
    if actor["kind"] == "cli":
        return _("%(name)s, by command") % {"name": name} if name else _("a command")
    return name or _("nobody who is signed in")


def _what(event: AuditEvent, details: Mapping[str, Any], known: _Names) -> str:
    private = known.private.get(event.event_id, {})
    about = next((private[field] for field in _SUBJECTS if field in private), "")
    if not about:
        about = known.things.get(event.object_ref) or known.people.get(event.object_ref, "")
    words = " · ".join(filter(None, [about, *_more(event.action, details, private)]))
    return Truncator(words).chars(WHAT_CHARS)


def _more(action: str, details: Mapping[str, Any], private: Mapping[str, str]) -> Iterable[str]:
    """What the numbers and codes of an event add, in words."""
    if "page" in details:
        yield _("page %(n)s") % {"n": details["page"]}
    if action in {actions.GRANT_GIVEN, actions.GRANT_REVOKED}:
        yield private.get("to", "") or (_("everybody") if details["everyone"] else "")
        yield str(Level(details["level"]).label)
    if action in {actions.TEAM_MEMBER_ADDED, actions.TEAM_MEMBER_REMOVED}:
        yield private.get("username", "")
    if "roles" in details:
        yield ", ".join(str(title) for role, title in ROLES if role in details["roles"])
    if "label" in details:
        yield str(dict(LABELS)[details["label"]])
    if "budget" in details:
        yield _("%(n)s tokens") % {"n": details["budget"]}
    if action == actions.LIBRARY_DELETED:
        yield ngettext("%(n)d document", "%(n)d documents", details["documents"]) % {
            "n": details["documents"]
        }
    if action in {actions.TRAIL_VIEWED, actions.TRAIL_EXPORTED} and "events" in details:
        yield private.get("object", "")
        yield str(details.get("format", "")).upper()
        yield ngettext("%(n)d event", "%(n)d events", details["events"]) % {"n": details["events"]}


def is_export(row: AuditEvent) -> bool:
    """Whether it says that a file was taken out at the desk; commands write bundles, without a format."""
    is_begin = row.action == actions.TRAIL_EXPORTED and row.stage == Stage.INTENT
    return is_begin and "format" in body_of(row).get("details", {})


@dataclass(frozen=True)
class Taken:
    """A file that was taken out at the desk; `who` is its event's."""

    event: UUID
    time: datetime
    who: str
    format: str
    events: int
    sha256: str


def exports(scope: Scope) -> list[Taken]:
    """The newest, newest first."""
    require_officer(scope)
    begun = trail(scope, TrailFilter(action=actions.TRAIL_EXPORTED)).filter(stage=Stage.INTENT)
    found = [row for row in begun[: 4 * EXPORTS] if is_export(row)][:EXPORTS]
    told = [body_of(row)["details"] for row in found]
    return [
        Taken(row.id, row.time, row.who, one["format"].upper(), one["events"], one["sha256"])
        for row, one in zip(rows(scope, found), told, strict=True)
    ]


@dataclass(frozen=True)
class LastWitnessed:
    """`at` is when the witness says that it signed."""

    at: datetime
    events: int
    key: str


def last_witnessed(scope: Scope) -> LastWitnessed | None:
    """The largest tree that a witness kept and the desk compared; None where there is none."""
    require_officer(scope)
    done = trail(scope, TrailFilter(action=actions.TRAIL_WITNESSED, outcome=Outcome.DONE))
    told = [body_of(row)["details"] for row in done[:WITNESSES]]
    if not told:
        return None
    last = max(told, key=lambda one: (one["size"], one["at"]))
    return LastWitnessed(datetime.fromisoformat(last["at"]), last["events"], last["key"])


def other_past(scope: Scope) -> AuditEvent | None:
    """The newest comparison that failed, as long as no later one held of a tree at least as large."""
    require_officer(scope)
    compared = trail(scope, TrailFilter(action=actions.TRAIL_WITNESSED))
    failed = compared.filter(outcome=Outcome.FAILED).first()
    if failed is None:
        return None
    size = body_of(failed)["details"]["size"]
    since = compared.filter(outcome=Outcome.DONE, occurred_at__gt=failed.occurred_at)
    held = any(body_of(row)["details"]["size"] >= size for row in since[:WITNESSES])
    return None if held else failed


def _libraries(body: Mapping[str, Any]) -> list[UUID]:
    details = body.get("details", {})
    single = [details["library"]] if "library" in details else []
    return [UUID(library) for library in [*single, *details.get("libraries", [])]]
