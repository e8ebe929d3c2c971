"""The compliance officer's pages. Who looks at the trail is in the trail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from muniment.accounts.queries import people_by_name
from muniment.accounts.requests import scope_of_request, wants_part
from muniment.audit import actions
from muniment.audit.actions import CHANGES, Outcome
from muniment.audit.models import AuditEvent
from muniment.audit.queries import (
    SealState,
    TrailFilter,
    event,
    events_before,
    guards_missing,
    seal_state,
    trail,
)
from muniment.audit.services import record_alone
from muniment.database import release_connections
from muniment.desk.checkpoints import shown_checkpoint
from muniment.desk.exports import MEDIA_TYPES, Format
from muniment.desk.forms import TrailForm, WitnessForm
from muniment.desk.queries import exports, last_witnessed, other_past, require_officer, rows
from muniment.desk.services import (
    Export,
    NotACheckpoint,
    SawAnotherPast,
    export,
    manifest,
    prove,
    record_export_ended,
    take_witness,
    too_many,
)
from muniment.pages.downloads import as_download
from muniment.pages.errors import Invalid, NotFound
from muniment.pages.templatetags.muniment_pages import ago, thousands
from muniment.scope import Scope
from muniment.tenancy.queries import tenant_of

PAGE = 50
NEWEST = 12
CHUNK = 256 * 1024


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    require_officer(scope)
    now = timezone.now()
    newest = list(trail(scope, TrailFilter())[:NEWEST])
    week = trail(scope, TrailFilter(since=now - timedelta(days=7)))
    changed = list(week.filter(action__in=CHANGES)[:NEWEST])
    record_alone(scope, actions.TRAIL_VIEWED, details={"events": len(newest), "filters": []})
    context = {
        "today": timezone.localdate(),
        "tenant": tenant_of(scope).name,
        "trail": _state_of_trail(scope, newest),
        "facts": _facts(scope),
        "changes": [
            {"what": f"{row.did}: {row.what}" if row.what else row.did, "when": ago(row.time), "by": row.who}
            for row in rows(scope, changed)
        ],
        "events": rows(scope, newest),
        "trail_url": reverse("trail"),
    }
    return render(request, "desk/home.html", context)


def _state_of_trail(scope: Scope, newest: list[AuditEvent]) -> dict[str, object]:
    missing = guards_missing()
    if missing:
        return {
            "whole": False,
            "title": _("The trail is not protected"),
            "text": _(
                "The database would let events be changed or removed: a guard is missing. "
                "Have the site administrator find out who took it away, and keep a backup as evidence."
            ),
        }
    if alarm := other_past(scope):
        return {
            "whole": False,
            "title": _("A witness saw another past"),
            "text": _(
                "The log of this installation is not the one that it signed and a witness kept; this was "
                "found %(when)s. Keep the database, its backups and the witness's folder as evidence."
            )
            % {"when": ago(alarm.occurred_at)},
        }
    seal = seal_state(scope)
    if seal.late:
        return {
            "whole": False,
            "title": _("Events wait for their seal"),
            "text": ngettext(
                "%(n)s event waits: the part that seals the trail does not run, or found it changed. ",
                "%(n)s events wait: the part that seals the trail does not run, or found it changed. ",
                seal.waiting,
            )
            % {"n": thousands(seal.waiting)}
            + _("Have the site administrator look at its log and run `manage.py audit verify`."),
        }
    count = trail(scope, TrailFilter()).count()
    last = ago(newest[0].occurred_at) if newest else "–"
    text = ngettext("%(n)s event, the last %(last)s.", "%(n)s events, the last %(last)s.", count)
    return {
        "whole": True,
        "checkpoint_url": reverse("checkpoint") if seal.at else "",
        "title": _("The trail is being kept"),
        "text": text % {"n": thousands(count), "last": last}
        + " "
        + _("The database refuses to change or remove any of them.")
        + _words_of_seal(seal),
    }


def _words_of_seal(seal: SealState) -> str:
    if seal.at is None:
        return ""
    words = {"n": thousands(seal.sealed), "last": ago(seal.at), "key": seal.fingerprint}
    text = ngettext("%(n)s is sealed, the last %(last)s", "%(n)s are sealed, the last %(last)s", seal.sealed)
    return " " + (text + _("; the key of the log has the fingerprint %(key)s.")) % words


def _facts(scope: Scope) -> list[dict[str, object]]:
    day_ago = timezone.now() - timedelta(hours=24)
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    refused = trail(scope, TrailFilter(since=day_ago, outcome=Outcome.DENIED))
    failed = refused.filter(action=actions.SIGN_IN_FAILED).count()
    since = timezone.localtime(day_ago).strftime("%Y-%m-%dT%H:%M")
    asked = TrailFilter(since=timezone.now() - timedelta(days=7), action=actions.QUESTION_ASKED)
    return [
        {
            "name": _("Refused, 24 h"),
            "figure": thousands(refused.count()),
            "note": ngettext("%(n)d failed sign-in", "%(n)d failed sign-ins", failed) % {"n": failed},
            "url": f"{reverse('trail')}?outcome=denied&since={since}",
        },
        {
            "name": _("Events today"),
            "figure": thousands(trail(scope, TrailFilter(since=midnight)).count()),
            "note": _("since midnight"),
            "url": "",
        },
        {
            "name": _("Questions, 7 d"),
            "figure": thousands(trail(scope, asked).count()),
            "note": _("asked by people here"),
            "url": "",
        },
        _fact_of_witness(scope),
    ]


def _fact_of_witness(scope: Scope) -> dict[str, object]:
    last = last_witnessed(scope)
    note = _("no witness's checkpoint was compared yet")
    if last:
        note = ngettext("%(n)s event, by key %(key)s", "%(n)s events, by key %(key)s", last.events) % {
            "n": thousands(last.events),
            "key": last.key,
        }
    return {
        "name": _("Last witnessed"),
        "figure": ago(last.at) if last else _("never"),
        "note": note,
        "url": reverse("witness"),
    }


@require_GET
def trail_page(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    require_officer(scope)
    form = TrailForm(request.GET, people=people_by_name(scope))
    wanted = form.wanted() if form.is_valid() else None
    shown, older = _page(scope, wanted, request.GET.get("before", "")) if wanted else ([], None)
    record_alone(
        scope,
        actions.TRAIL_VIEWED,
        details={
            "events": len(shown),
            "filters": wanted.names() if wanted else [],
            "person": wanted.person if wanted else None,
        },
        private={"object": wanted.thing} if wanted and wanted.thing else {},
    )
    context = {
        "filters": form,
        "events": rows(scope, shown),
        "older": older,
        "is_first": "before" not in request.GET,
        "export_url": f"{reverse('trail-export')}{_query(request)}" if wanted else "",
    }
    template = "desk/_part.html" if wants_part(request) else "desk/trail.html"
    return render(request, template, context, status=200 if wanted else 422)


def _page(scope: Scope, wanted: TrailFilter, before: str) -> tuple[list[AuditEvent], UUID | None]:
    """A page of events, newest first, and the id after which the next one begins."""
    events = trail(scope, wanted)
    if before:
        try:
            last = event(scope, UUID(before))
        except ValueError:
            last = None
        if last is None:
            raise NotFound
        events = events_before(events, last)
    found = list(events[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].event_id if len(found) > PAGE else None


def _query(request: HttpRequest) -> str:
    """The filters of an address, for another one."""
    chosen = QueryDict(mutable=True)
    chosen.update({name: request.GET[name] for name in TrailForm.base_fields if request.GET.get(name)})
    return f"?{chosen.urlencode()}" if chosen else ""


def _wanted(request: HttpRequest, scope: Scope) -> TrailFilter:
    form = TrailForm(request.GET, people=people_by_name(scope))
    if not form.is_valid():
        raise Invalid
    return form.wanted()


@require_GET
def export_page(request: HttpRequest) -> HttpResponse:
    """What would be taken out, in which format, and what was taken out last."""
    scope = scope_of_request(request)
    require_officer(scope)
    wanted = _wanted(request, scope)
    fitting = trail(scope, wanted).count()
    taken = exports(scope)
    record_alone(scope, actions.TRAIL_VIEWED, details={"events": len(taken), "filters": []})
    context = {
        "fitting": fitting,
        "filtered": bool(wanted.names()),
        "too_many": too_many(fitting),
        "formats": _formats(),
        "taken": taken,
        "export_url": f"{reverse('export-trail')}{_query(request)}",
        "trail_url": f"{reverse('trail')}{_query(request)}",
    }
    return render(request, "desk/export.html", context)


def _formats() -> list[dict[str, str]]:
    return [
        {
            "name": Format.CSV,
            "title": _("Table (CSV)"),
            "text": _("What the trail's page shows, with the names of people. For a spreadsheet."),
        },
        {
            "name": Format.JSONL,
            "title": _("Events as they are sealed (JSON lines)"),
            "text": _("Byte by byte, one a line, without names: each line can be hashed again and proved."),
        },
        {
            "name": Format.OCSF,
            "title": _("Events for a collector (OCSF)"),
            "text": _("In the words that security monitoring shares, one a line, without names."),
        },
    ]


@require_POST
async def export_file(request: HttpRequest) -> StreamingHttpResponse:
    scope = scope_of_request(request)
    made = await sync_to_async(_export)(request, scope)
    response = StreamingHttpResponse(_bytes_of(scope, made), content_type=MEDIA_TYPES[made.format])
    response.headers["Content-Length"] = str(made.bytes)
    return as_download(response, made.name)


def _export(request: HttpRequest, scope: Scope) -> Export:
    require_officer(scope)
    wanted = _wanted(request, scope)
    try:
        form = Format(request.POST.get("format", ""))
    except ValueError as error:
        raise Invalid(_("Choose one of the formats.")) from error
    try:
        return export(scope, wanted, form)
    finally:
        release_connections()


async def _bytes_of(scope: Scope, made: Export) -> AsyncIterator[bytes]:
    complete = False
    try:
        while piece := await asyncio.to_thread(made.file.read, CHUNK):
            yield piece
        complete = True
    finally:
        made.file.close()
        await sync_to_async(_record_end)(scope, made, complete)


def _record_end(scope: Scope, made: Export, complete: bool) -> None:
    try:
        record_export_ended(scope, made, complete)
    finally:
        release_connections()


@require_GET
def export_manifest(request: HttpRequest, event_id: UUID) -> HttpResponse:
    told = manifest(scope_of_request(request), event_id)
    written = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
    name = f"trail-{event_id.hex[-8:]}.manifest.json"
    return as_download(HttpResponse(written, content_type="application/json"), name)


@require_GET
def event_proof(request: HttpRequest, event_id: UUID) -> HttpResponse:
    text = prove(scope_of_request(request), event_id)
    response = HttpResponse(text, content_type="text/plain; charset=utf-8")
    return as_download(response, f"{event_id}.tlog-proof")


@require_GET
def checkpoint_page(request: HttpRequest) -> HttpResponse:
    """To be printed and kept away from this machine."""
    scope = scope_of_request(request)
    shown = shown_checkpoint(scope)
    record_alone(scope, actions.CHECKPOINT_VIEWED, details={"size": shown.size if shown else 0})
    context = {"checkpoint": shown, "tenant": tenant_of(scope).name, "printed": timezone.now()}
    return render(request, "desk/checkpoint.html", context)


@require_http_methods(["GET", "POST"])
def witness_page(request: HttpRequest) -> HttpResponse:
    """Takes the checkpoint that a witness elsewhere keeps, and says whether the log here goes on from it."""
    scope = scope_of_request(request)
    require_officer(scope)
    if request.method == "GET":
        return _witness(request, scope, WitnessForm())
    form = WitnessForm(request.POST, request.FILES)
    if not form.is_valid():
        return _witness(request, scope, form, status=422)
    try:
        take_witness(scope, form.cleaned_data["checkpoint"])
    except NotACheckpoint as problem:
        form.add_error("checkpoint", str(problem.detail))
        return _witness(request, scope, form, status=422)
    except SawAnotherPast as problem:
        return _witness(request, scope, WitnessForm(), str(problem.detail), problem.status)
    messages.success(request, _("The log is still the one that the witness saw."))
    return redirect("witness")


def _witness(
    request: HttpRequest, scope: Scope, form: WitnessForm, alarm: str = "", status: int = 200
) -> HttpResponse:
    context = {"form": form, "alarm": alarm, "last": last_witnessed(scope)}
    return render(request, "desk/witness.html", context, status=status)
