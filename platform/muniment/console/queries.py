"""What an administrator reads: health of the parts, sizes, who has what."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Count, Sum
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from muniment import __version__
from muniment.console import sovereignty as sovereignty_page
from muniment.console.parts import Part
from muniment.documents import generations
from muniment.documents.models import GenerationState, Version, VersionState
from muniment.jobs.models import Kind
from muniment.jobs.queries import open_count
from muniment.pages.errors import Forbidden
from muniment.pages.templatetags.muniment_pages import ago, filesize, thousands
from muniment.registry.models import Check, Engine
from muniment.registry.queries import last_checks, last_report, present_engine, supervised
from muniment.scope import Role, Scope

STATES = {"ready": "up", "starting": "warning", "waiting": "warning"}


def require_site_admin(scope: Scope) -> None:
    if Role.SITE_ADMIN not in scope.roles:
        raise Forbidden


def health(scope: Scope) -> dict[str, Any]:
    """What the page `console/_health.html` shows."""
    require_site_admin(scope)
    parts = [*_processes(), _model(), *_work(), _database(), _disk(), *_findings()]
    up = sum(part.state == "up" for part in parts)
    return {
        "ok": up == len(parts),
        "sentence": _sentence(parts),
        "detail": _("%(up)s of %(all)s parts up · version %(version)s")
        % {"up": up, "all": len(parts), "version": __version__},
        "parts": parts,
        "charts": [],
        "models": models(scope),
    }


def _sentence(parts: list[Part]) -> str:
    down = [part.name for part in parts if part.state in {"down", "unknown"}]
    if len(down) == 1:
        return _("One part does not work: %(name)s") % {"name": down[0]}
    if down:
        return _("%(n)s parts do not work") % {"n": len(down)}
    if any(part.state == "warning" for part in parts):
        return _("Everything works, with a warning")
    return _("Everything works")


def _processes() -> list[Part]:
    try:
        if told := supervised():
            return [_process(facts) for facts in told]
    except (KeyError, TypeError):
        pass  # of another version: nothing in it can be believed
    advice = _("The supervisor does not run, so nothing starts again what stops. Start it with `make up`.")
    return [Part(_("Supervisor"), "", "unknown", _("unknown"), "", advice)]


def _process(facts: dict[str, Any]) -> Part:
    names = {
        "valkey": _("Streams and queues"),
        "index": _("Passage index"),
        "engine": _("Engine"),
        "web": _("Web"),
        "ingest": _("Ingest"),
        "answer": _("Answers"),
        "upkeep": _("Upkeep"),
        "sequencer": _("Sealing the trail"),
    }
    words = {"up": _("up"), "warning": _("starting"), "down": _("down")}
    state = STATES.get(facts["state"], "down")
    advice = ""
    if state == "down":
        advice = _(
            "It is started again by itself. If it stays like this, read %(log)s in the folder of the logs."
        ) % {"log": f"{facts['name']}.log"}
    restarts = facts["restarts"]
    detail = ngettext("started again once", "started again %(n)s times", restarts) % {"n": restarts}
    return Part(
        name=names.get(facts["name"], facts["name"]),
        detail=detail if restarts else "",
        state=state,
        state_text=words[state],
        amount=filesize(facts["rss"]) if facts["rss"] else "",
        advice=advice,
    )


def _model() -> Part:
    engine = present_engine()
    if engine is None:
        advice = _("No engine has reported yet. A fresh start needs about a minute.")
        return Part(_("Language model"), "", "warning", _("waiting"), "", advice)
    return Part(_("Language model"), engine.model, "up", _("up"), _speed(engine))


def _work() -> list[Part]:
    files, questions = open_count(Kind.INGEST), open_count(Kind.ANSWER)
    work = [
        Part(_("Files waiting"), _("or in work"), "up", _("up"), thousands(files)),
        Part(_("Questions waiting"), _("or in work"), "up", _("up"), thousands(questions)),
    ]
    if begun := generations.building():
        amount = _("%(built)s of %(documents)s documents") % vars(begun)
        work.append(Part(_("Another index"), begun.embedder, "up", _("being made"), amount))
    return work


def _database() -> Part:
    if connection.vendor != "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            size = cursor.fetchone()[0]
        return Part(_("Database"), connection.display_name, "up", _("up"), filesize(size))
    base = Path(settings.DATABASES["default"]["NAME"])
    files = [base, base.with_name(base.name + "-wal")]
    size = sum(file.stat().st_size for file in files if file.exists())
    return Part(_("Database"), "SQLite", "up", _("up"), filesize(size))


def _disk() -> Part:
    usage = shutil.disk_usage(settings.DATA_DIR)
    amount = _("%(free)s of %(all)s free") % {"free": filesize(usage.free), "all": filesize(usage.total)}
    if usage.free < settings.FREE_DISK_BYTES:
        advice = _("Uploads are refused until %(need)s are free. Make room or move the data folder.") % {
            "need": filesizeformat(settings.FREE_DISK_BYTES)
        }
        return Part(_("Disk"), "", "down", _("full"), amount, advice)
    if usage.free < usage.total / 10:
        advice = _("Less than a tenth is free. Make room before uploads are refused.")
        return Part(_("Disk"), "", "warning", _("nearly full"), amount, advice)
    return Part(_("Disk"), "", "up", _("up"), amount)


def _findings() -> list[Part]:
    """What the doctor found wrong when it looked last; what is in order says nothing new here."""
    states = {Check.State.WARN.value: "warning", Check.State.BAD.value: "down"}
    return [
        Part(
            check.name, ago(check.at), states[check.state], str(check.get_state_display()), "", check.sentence
        )
        for check in last_checks()
        if check.state in states
    ]


def _speed(engine: Engine) -> str:
    if engine.prompt_speed is None or engine.output_speed is None:
        return ""
    return _("%(reads)s / %(writes)s tokens a second") % {
        "reads": round(engine.prompt_speed),
        "writes": round(engine.output_speed),
    }


def sovereignty(scope: Scope) -> dict[str, Any]:
    """What `console/sovereignty.html` shows."""
    require_site_admin(scope)
    return sovereignty_page.shown(last_report("sovereignty"))


def models(scope: Scope) -> list[dict[str, str]]:
    """The engine that answers and its embedder, as rows of `console/_models.html`."""
    require_site_admin(scope)
    engine = present_engine()
    if engine is None:
        return []
    facts, in_use = engine.facts, {"state": "in_use", "state_text": _("in use")}
    answers = {
        "name": engine.model,
        "purpose": _("answers"),
        "context_text": thousands(facts.get("context")),
        "speed_text": _speed(engine) or _("not measured yet"),
        "advice": _short(facts.get("model_sha256")) or _elsewhere(facts.get("build", "")),
    }
    finds = {
        "name": facts.get("embedder", ""),
        "purpose": _("finding passages"),
        "context_text": thousands(facts.get("max_tokens")),
        "advice": _short(facts.get("embedder_sha256")),
    }
    rows = [answers, *([] if generations.kept() else [finds])]
    return [{**row, **in_use} for row in rows if row["name"]] + _embedders()


def _embedders() -> list[dict[str, str]]:
    """Of the index that answers, and of the one that is being built; the same for every tenant."""
    return [
        {
            "name": generation.embedder,
            "purpose": _("finding passages, index %(number)s") % {"number": generation.number},
            "context_text": "",
            "advice": _short(generation.embedder_sha256),
            "state": "in_use" if generation.state == GenerationState.SERVING else "working",
            "state_text": _("in use")
            if generation.state == GenerationState.SERVING
            else _("%(built)s of %(documents)s documents") % vars(generation),
        }
        for generation in generations.kept()
        if generation.state != GenerationState.RETIRED
    ]


def _elsewhere(kind: str) -> str:
    """Of a model that another server has: it tells no hash."""
    return _("on another server (%(kind)s)") % {"kind": kind} if kind else ""


def _short(sha256: str | None) -> str:
    return f"SHA-256 {sha256[:16]}…" if sha256 else ""


def library_sizes(scope: Scope) -> dict[UUID, tuple[int, int]]:
    """How many documents are published in each library and their bytes, whoever may read them."""
    if not scope.is_admin:
        raise Forbidden
    rows = (
        Version.objects.filter(tenant=scope.tenant, state=VersionState.PUBLISHED, document__deleted_at=None)
        .values("document__library")
        .annotate(documents=Count("document", distinct=True), size=Sum("size"))
        .order_by()
    )
    return {row["document__library"]: (row["documents"], row["size"]) for row in rows}
