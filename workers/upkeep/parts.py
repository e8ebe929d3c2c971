"""Checks of the parts that run beside each other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from muniment.documents import generations as rows
from muniment.documents.models import Generation, Version, VersionState
from muniment.jobs.broker import client
from muniment.jobs.models import Kind
from muniment.jobs.queries import open_count
from muniment.registry.queries import present_engine, supervised
from muniment.tenancy.queries import each_tenant
from workers import generations, preflight
from workers.engines import (
    EngineFacts,
    EngineUnavailable,
    IndexLocked,
    IndexUnavailable,
    PassageIndex,
    catalogue,
    connect,
)
from workers.engines.errors import ModelMissing
from workers.upkeep import building
from workers.upkeep.finding import Finding, away, bad, ok, warn

# Asking for each version takes some milliseconds.
VERSIONS_COUNTED = 500


def processes() -> Iterator[Finding]:
    told = supervised()
    if not told:
        yield away("processes", "unix:")
        return
    faults = [facts for facts in told if facts["state"] != "ready"]
    for facts in faults:
        yield _process(facts)
    if not faults:
        yield ok("processes", _("All %(n)s are running.") % {"n": len(told)})


def all_ready_since() -> float | None:
    """When the last of the parts became ready, in seconds since 1970; None while not all of them are."""
    told = supervised()
    if not told or any(facts["state"] != "ready" for facts in told):
        return None
    return max(float(facts["since"]) for facts in told)


def _process(facts: Mapping[str, Any]) -> Finding:
    name = f"process {facts['name']}"[:40]
    if facts["state"] == "waiting" and facts["reason"]:
        waits = _("It waits %(why)s, and starts by itself once that answers.") % {"why": facts["reason"]}
        return bad(name, waits)
    if facts["state"] in {"starting", "waiting"} and not facts["restarts"]:
        return warn(name, _("It is starting: look again in a minute."))
    return bad(
        name,
        _("It is down (%(why)s) and is started again by itself. Its log is %(log)s in the folder of logs.")
        % {"why": facts["reason"] or facts["state"], "log": f"{facts['name']}.log"},
    )


def broker() -> Iterator[Finding]:
    try:
        facts = client().info("server")
        seconds, _micro = client().time()
    except redis.RedisError:
        if fault := preflight.broker_door_fault():
            yield bad("broker", fault)
        else:
            yield away("broker", settings.BROKER_URL, "MUNIMENT_BROKER_URL")
        return
    name, version, _floor = preflight.broker_version(facts)
    if fault := preflight.broker_door_fault() or preflight.broker_fault():
        yield bad("broker", fault)
    elif abs(time.time() - seconds) > preflight.CLOCK_SECONDS:
        yield warn("broker", _("Its machine's clock differs from ours: set both by a time server."))
    else:
        yield ok("broker", _("%(name)s %(version)s answers.") % {"name": name, "version": version})


def index() -> Iterator[Finding]:
    from workers.engines.index import IndexRefused

    try:
        found = generations.index_of(generations.serving())
        compared, wrong = _miscounted(found)
    except IndexLocked as error:
        yield bad("index", str(error))
        return
    except (IndexUnavailable, ModelMissing):
        yield away("index", settings.INDEX_URL, "MUNIMENT_INDEX_URL")
        return
    except IndexRefused as error:
        yield bad("index", str(error))
        return
    words = {"wrong": wrong, "compared": compared, "left": open_count(Kind.REINDEX)}
    if wrong and words["left"]:
        yield warn(
            "index",
            _("Documents are being indexed again, %(left)s are left; all can be read.") % words,
        )
    elif wrong:
        yield bad(
            "index",
            _(
                "%(wrong)s of %(compared)s documents looked at are not whole in the index and may not be "
                "found: run `manage.py reindex`."
            )
            % words,
        )
    else:
        yield ok("index", _("It has every passage of the %(compared)s documents looked at.") % words)


def making() -> Iterator[Finding]:
    """With what the index was made, and whether settings and release would make it so today."""
    name = "index made with"
    serving, begun = rows.serving(), rows.building()
    if serving is None:
        return
    words = {"number": serving.number, "old": serving.embedder, "new": settings.EMBEDDER}
    if not _is_here(serving):
        yield bad(
            name,
            _(
                "Nothing can be found, because questions cannot be embedded as its passages were: "
                "bring %(old)s back (`manage.py models get %(old)s`), or use %(new)s (`manage.py reindex`)."
            )
            % words,
        )
    if begun:
        yield _begun(name, begun)
        return
    try:
        made, wanted = rows.making(serving), generations.wanted()
    except ModelMissing:
        return  # the check of the models says so
    if made == wanted:
        yield ok(name, _("Index %(number)s was made with %(old)s, as the settings say.") % words)
    elif made.embedder_sha256 != wanted.embedder_sha256:
        yield warn(
            name,
            _(
                "It was made with the embedder %(old)s, and the settings name %(new)s. The old one goes on "
                "answering until `manage.py reindex` has made another index."
            )
            % words,
        )
    else:
        yield warn(
            name,
            _(
                "It was made by an earlier release, which cut texts or weighed words in another way. It goes "
                "on answering until `manage.py reindex` has made another index."
            ),
        )


def _is_here(generation: Generation) -> bool:
    try:
        entry = catalogue.model(generation.embedder)
    except ModelMissing:
        return False
    return entry.sha256 == generation.embedder_sha256 and catalogue.state_of(entry) == "there"


def _begun(name: str, generation: Generation) -> Finding:
    seen = building.progress(generation)
    words = {"number": generation.number, "embedder": generation.embedder, **vars(seen)}
    if seen.failed:
        return bad(
            name,
            _(
                "%(failed)s of %(documents)s documents could not be added to index %(number)s, so "
                "the one before goes on: read the log of ingest, then try again with `manage.py reindex`."
            )
            % words,
        )
    if seen.built == seen.documents:
        return warn(
            name,
            _(
                "Index %(number)s is complete and answers in a moment. If it stays like this, start Muniment "
                "again: the engine does not know %(embedder)s yet."
            )
            % words,
        )
    return warn(
        name,
        _(
            "Index %(number)s is being made with %(embedder)s, %(built)s of %(documents)s documents are in "
            "it. The one before answers until then."
        )
        % words,
    )


def _miscounted(index: PassageIndex) -> tuple[int, int]:
    """How many published versions were compared with the index, at random, and how many differ."""
    compared = wrong = 0
    for tenant in each_tenant():
        versions = Version.objects.filter(tenant=tenant.id, state=VersionState.PUBLISHED)
        rows = list(versions.order_by("?").values_list("id", "passage_count")[: VERSIONS_COUNTED - compared])
        compared += len(rows)
        wrong += sum(
            index.count(tenant.id, version) != passages
            # Retired since the rows were read: its points go, as they should.
            and versions.filter(pk=version).exists()
            for version, passages in rows
        )
    return compared, wrong


def engine() -> Iterator[Finding]:
    try:
        facts = connect.engine().facts()
    except EngineUnavailable as error:
        if settings.MODEL_URL:
            yield bad("engine", str(error))
        else:
            yield away("engine", settings.ENGINE_URL, "MUNIMENT_ENGINE_URL")
        return
    wrong = _other_bytes(facts)
    if wrong:
        yield bad(
            "engine",
            _("It runs other models than are set (%(names)s): start Muniment again.")
            % {"names": ", ".join(wrong)},
        )
    elif not facts.model_sha256:
        yield ok(
            "engine",
            _("%(model)s answers, on another server (%(kind)s), with a context of %(context)s tokens.")
            % {"model": facts.model, "kind": facts.build, "context": facts.context},
        )
    else:
        yield ok(
            "engine",
            _("%(model)s answers, with the catalogue's hash and a context of %(context)s tokens.")
            % {"model": facts.model, "context": facts.context},
        )
    yield from _speed(facts.model)


def _other_bytes(facts: EngineFacts) -> list[str]:
    """The models set whose hash the engine says otherwise; one that tells no hash is believed."""
    told = {settings.LANGUAGE_MODEL: facts.model_sha256, settings.EMBEDDER: facts.embedder_sha256}
    if settings.RERANKER:
        told[settings.RERANKER] = facts.reranker_sha256
    return [name for name, sha256 in told.items() if sha256 and sha256 != catalogue.model(name).sha256]


def _speed(model: str) -> Iterator[Finding]:
    row = present_engine()
    if row is None or row.model != model or row.prompt_budget is None:
        yield warn("speed", _("It was not measured yet: that happens by itself once the machine is idle."))
        return
    words = {"read": round(row.prompt_speed or 0), "write": round(row.output_speed or 0)}
    yield ok(
        "speed",
        _("It reads %(read)s and writes %(write)s tokens a second; a prompt may have %(budget)s.")
        % {**words, "budget": row.prompt_budget},
    )


def models() -> Iterator[Finding]:
    here = settings.ENGINE_URL.startswith("unix:") and not settings.MODEL_URL
    names = [settings.LANGUAGE_MODEL] if here else []
    for name in [*names, settings.EMBEDDER, *([settings.RERANKER] if settings.RERANKER else [])]:
        title = f"model {name}"[:40]
        try:
            state = catalogue.state_of(catalogue.model(name))
        except ModelMissing as error:
            yield bad(title, str(error))
            continue
        if state == "there":
            yield ok(title, _("It is there, with the catalogue's hash."))
        else:
            words = {"name": name}
            yield bad(
                title,
                _("It is missing: `manage.py models get %(name)s` fetches it.") % words
                if state == "missing"
                else _("Its bytes are not the publisher's: `manage.py models get %(name)s` fetches it again.")
                % words,
            )
