"""What row-level security costs a request: two web processes on one database, asked in turn.

One serves as a role that the wall binds; the other as a superuser, which no policy binds, and without
carrying the tenant along. Run by `make load`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.running import ROOT, free_port
from tests.running_site import RunningSite

ROUNDS, REQUESTS = 7, 12
REACH = 1.10


def measure(site: RunningSite, about: Path) -> Iterator[str]:
    """A line for each page, and what was not reached."""
    known = json.loads(about.read_text())
    pages = {
        "library": f"/libraries/{known['libraries'][0]['slug']}/",
        "libraries": "/documents/",
        "conversations": "/conversations/",
        "profile": "/profile",
    }
    with ExitStack() as both:
        walled, bare = (
            both.enter_context(_signed_in(site, role, settings, known["people"][0], known["password"]))
            for role, settings in (
                ("muniment_web", "muniment.settings"),
                ("postgres", "tests.quality.no_wall"),
            )
        )
        for name, path in pages.items():
            ratios = []
            for _round in range(ROUNDS):
                with_wall, without = (_seconds(client, path) for client in (walled, bare))
                ratios.append(with_wall / without)
            ratio = statistics.median(ratios)
            mark = "" if ratio <= REACH else "  NOT REACHED"
            yield f"second wall, {name:<14} {ratio:.2f}x of the same request without it, <= {REACH}x{mark}"


def _seconds(client: httpx.Client, path: str) -> float:
    taken = []
    for _request in range(REQUESTS):
        begun = time.perf_counter()
        assert client.get(path).status_code == 200
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


@contextmanager
def _signed_in(
    site: RunningSite, role: str, settings: str, username: str, password: str
) -> Iterator[httpx.Client]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "muniment.asgi:application",
        "--port",
        str(port),
        "--no-access-log",
    ]
    environment: dict[str, Any] = {
        **{name: value for name, value in site.environment.items() if "PASSWORD" not in name},
        "MUNIMENT_DATABASE_URL": site.cluster.url(role),
        "MUNIMENT_DATABASE_POOL": "16",
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "platform"), str(ROOT))),
    }
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=url, timeout=30, follow_redirects=True) as client:
            _wait(client)
            site.post(client, "/sign-in", username=username, password=password)
            yield client
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait(client: httpx.Client) -> None:
    for _try in range(150):
        try:
            client.get("/health")
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the web process does not start")
