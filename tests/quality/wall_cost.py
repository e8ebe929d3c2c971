"""What the second wall costs a request: `make bench-site`.

The same requests, in one process and in turn, on two connections to one PostgreSQL: as a site does it
(muniment_web, bound by the policies, each statement with its tenant), and as if there were no wall (a role of
the same rights with BYPASSRLS, statements as they are). Valkey is real. A stand-in for the worker gives each
search the same passages at once, so that the wall's share of a search is not hidden behind the searching.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests import valkey
from tests.postgres import Cluster
from tests.running import ROOT

ROUNDS = 101
DOCUMENTS, CONVERSATIONS, EVENTS = 400, 60, 1500
MOST = 1.10
WITH, WITHOUT = "muniment_web", "muniment_open"
PATHS = {
    "a library": "/libraries/library-1/",
    "a search": "/search?q=doors",
    "history": "/conversations/",
    "the trail": "/desk/trail",
    "a page of a document": "",
}


def rows() -> Iterator[tuple[str, float, float, float]]:
    """Each request: milliseconds without and with the wall, and the one through the other.

    All are medians over `ROUNDS` in turn; the last is of each round's own two, so that a machine that is busy
    for a while does not count for one side alone.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muniment-wall-")))
        folder.chmod(0o755)
        cluster = Cluster(folder / "postgres")
        cluster.start()
        stack.callback(cluster.stop)
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "muniment.settings",
            "MUNIMENT_DATA": str(folder / "data"),
            "MUNIMENT_RUN": str(folder / "run"),
            "MUNIMENT_DATABASE_URL": cluster.url(WITH),
            "MUNIMENT_LOG": "WARNING",
        }
        make_tables(cluster)
        (folder / "run").mkdir(mode=0o700)
        broker = stack.enter_context(valkey.plain(folder / "run" / "valkey.sock", folder / "run"))
        import django

        django.setup()
        yield from _measured(broker, cluster)


def make_tables(cluster: Cluster) -> None:
    """The site's roles, its tables made by their owner, and a role that no policy binds."""
    words = [f"{role}_password=long enough for a bench" for role in ("owner", "web", "worker", "sequencer")]
    cluster.script(ROOT / "deploy/postgres/roles.sql", **dict(word.split("=") for word in words))
    owner = os.environ | {"MUNIMENT_DATABASE_URL": cluster.url("muniment_owner")}
    owner |= {"DJANGO_SETTINGS_MODULE": "workers.settings"}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, env=owner, check=True)
    cluster.sql(f"CREATE ROLE {WITHOUT} LOGIN BYPASSRLS IN ROLE {WITH}")


def _measured(broker: Path, cluster: Cluster) -> Iterator[tuple[str, float, float, float]]:
    import redis
    from django.db import connections
    from django.test import Client

    from tests.worker import answering

    client, passages, page = _seeded(Client)
    # As a site's own autovacuum has done within a minute: without it plans are made from guesses.
    cluster.sql("ANALYZE", "muniment")
    connection = connections["default"]
    sides = {WITH: connection, WITHOUT: _without_wall(connection)}
    hits = [{"passage": str(p), "best": [0, 5], "marks": [[0, 5]], "alike": []} for p in passages]
    rest = {"more": {}, "passages": 20, "documents": 7, "pages": 1, "met": True, "common": False}
    with (
        redis.Redis(unix_socket_path=str(broker)) as queues,
        answering(queues, "search", lambda _question: {"hits": hits, **rest}),
    ):
        for name, path in PATHS.items():
            seconds: dict[str, list[float]] = {WITH: [], WITHOUT: []}
            for number in range(ROUNDS):
                for role in (WITH, WITHOUT) if number % 2 else (WITHOUT, WITH):
                    connections["default"] = sides[role]
                    begun = time.perf_counter()
                    response = client.get(path or page)
                    seconds[role].append(time.perf_counter() - begun)
                    assert response.status_code == 200, (path, response.content[:500])
            # The first of each side opens the connection and compiles the templates.
            walled, bare = (seconds[role][1:] for role in (WITH, WITHOUT))
            ratio = statistics.median(one / other for one, other in zip(walled, bare, strict=True))
            yield name, 1000 * statistics.median(bare), 1000 * statistics.median(walled), ratio


def _without_wall(walled: Any) -> Any:
    """A connection of the other role, whose statements are sent as they are."""
    open_wide = walled.copy()
    open_wide.settings_dict |= {"USER": WITHOUT, "CONN_MAX_AGE": None}
    open_wide.ensure_connection()
    open_wide.execute_wrappers.clear()
    return open_wide


def _seeded(client_class: Any) -> tuple[Any, list[Any], str]:
    """Two tenants of the same size; a person of one of them, some passages and the address of a page."""
    from django.db import transaction

    from muniment.audit import actions
    from muniment.audit.services import record
    from muniment.conversations import services as conversations
    from muniment.documents.models import Passage
    from muniment.scope import Role
    from muniment.wall import within
    from tests import factories

    for tenant in [factories.make_tenant() for _each in range(2)]:
        with within(tenant.id), transaction.atomic():
            person = factories.make_person(tenant, roles=[Role.STAFF, Role.OFFICER])
            libraries = [
                factories.make_library(tenant, f"Library {n}", contributors=[person]) for n in range(4)
            ]
            for n in range(DOCUMENTS):
                text = "Doors close at ten. " * 20
                factories.make_document(libraries[n % 4], f"rules-{n}.txt", [text, text, text])
            scope = factories.scope_for(person)
            for n in range(CONVERSATIONS):
                conversations.ask(scope, f"When do the doors of house {n} close?")
            for _n in range(EVENTS):
                record(scope, actions.TRAIL_VIEWED, details={"events": 1, "filters": []})
    with within(tenant.id):
        passages = list(Passage.objects.values_list("id", flat=True)[:20])
        version = Passage.objects.get(pk=passages[0]).version_id
        client = client_class(SERVER_NAME="localhost")
        client.force_login(person)
    return client, passages, f"/documents/{version}/pages/1"


def main() -> int:
    print(f"load average {os.getloadavg()[0]:.1f}; {ROUNDS} rounds in turn, medians, ms a request")
    worst = 0.0
    for name, without, walled, ratio in rows():
        worst = max(worst, ratio)
        mark = "" if ratio < MOST else "  <- not reached"
        print(
            f"{name:<24} without {without:6.1f}   with {walled:6.1f}   {ratio:.2f}x  < {MOST}x{mark}",
            flush=True,
        )
    return 0 if worst < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
