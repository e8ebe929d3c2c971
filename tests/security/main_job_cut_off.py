"""The whole main job on a machine that is cut off, then attempts that must be caught; prints what was seen.

Started by the test under `cut_off.COMMAND`: python -m tests.security.main_job_cut_off FOLDER [site]
With `site` it is a site's, on PostgreSQL and with every part as its container starts it; else one machine's.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from muniment import __version__
from tests import planted
from tests.ingest.make import pdf
from tests.running import RunningHouse
from tests.running_site import RunningSite
from tests.security.cut_off import Sink, cut_off

TEXT = "A leak of the old boiler is reported within 36 hours of being seen."
QUESTION = "Within how many hours is a leak of the old boiler reported?"
# Tried in a process of the web application by Python, and past Python.
PYTHON_ATTEMPT = "import urllib.request; urllib.request.urlopen('http://{}/')"
PYTHON_NAME = "import socket; socket.getaddrinfo('python.example', 443)"
REFUSED = "Nothing leaves this installation"
NATIVE_ATTEMPT = "from tests import planted; print(planted.outcome(planted.native_connect))"


def main() -> None:
    folder = Path(sys.argv[1])
    sink = cut_off()
    house = RunningSite(folder) if sys.argv[2:] == ["site"] else RunningHouse(folder)
    began = time.monotonic()
    try:
        if isinstance(house, RunningSite):
            house.serve()
        told: dict[str, Any] = {"job": main_job(house, folder)}
        told |= {"seconds": round(time.monotonic() - began, 1), "left": sink.take()}
        told["blocked"] = blocked(house)
        told["planted"] = planted_attempts(house, sink)
        told["report"] = report(house, folder, told)
        told["blocked_then"] = blocked(house)
    finally:
        house.stop()
    (folder / "told.json").write_text(json.dumps(told))


def main_job(house: RunningHouse, folder: Path) -> dict[str, Any]:
    """Accounts, every part, a PDF, a question, the page of a source with its picture."""
    house.prepare(migrate=not isinstance(house, RunningSite))
    house.start()
    manual = folder / "boiler-manual.pdf"
    manual.write_bytes(pdf([[(72, 760, 11, TEXT)]]))
    client = house.client("admin")
    found = re.search(r"/libraries/([a-z0-9-]+)/", client.get("/").text)
    assert found
    ingested = json.loads(
        house.manage("ingest", str(manual), "--library", found[1], "--wait", "--json").stdout
    )
    answer = json.loads(house.manage("ask", QUESTION, "--library", found[1], "--json").stdout)
    listed = client.get(f"/libraries/{found[1]}/").text
    document = re.search(r'href="(/documents/[^"]+)"[^>]*>[^<]*boiler-manual', listed)
    assert document, listed
    page = client.get(document[1])
    picture = client.get(f"{page.url.path}/picture", params={"width": "600"})
    return {
        "published": [row["state"] for row in ingested],
        "answer": answer["state"],
        "page": TEXT in re.sub(r"<[^>]+>", "", page.text),
        "picture": picture.headers.get("content-type", ""),
    }


def planted_attempts(house: RunningHouse, sink: Sink) -> dict[str, Any]:
    """Each attempt: how it ended, and what of it came to the sink."""
    return {
        "python": seen(sink, lambda: in_django(house, PYTHON_ATTEMPT.format(planted.PUBLIC))),
        "python name": seen(sink, lambda: in_django(house, PYTHON_NAME)),
        "native in django": seen(sink, lambda: in_django(house, NATIVE_ATTEMPT)),
        "native tcp": seen(sink, lambda: planted.outcome(planted.native_connect)),
        "native udp": seen(
            sink, lambda: planted.outcome(lambda: planted.native_connect(port=53, kind=socket.SOCK_DGRAM))
        ),
        "version 6": seen(sink, lambda: planted.outcome(version_6)),
        "native name": seen(sink, native_name),
    }


def seen(sink: Sink, attempt: Any) -> dict[str, Any]:
    sink.take()
    ended = attempt()
    time.sleep(0.3)
    return {"ended": ended} | sink.take()


def in_django(house: RunningHouse, code: str) -> str:
    done = house.manage("shell", "--no-imports", "-c", code, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[-1]


def native_name() -> str:
    return f"exit {subprocess.run(['getent', 'hosts', 'native.example'], check=False).returncode}"


def version_6() -> None:
    with socket.socket(socket.AF_INET6) as client:
        client.setblocking(False)
        client.connect(("2001:db8::7", planted.PORT))


def report(house: RunningHouse, folder: Path, told: dict[str, Any]) -> dict[str, Any]:
    """The result is kept as the installation's last test, and its report shows it."""
    result = folder / "egress-test.json"
    caught = sum(
        bool(seen["packets"] or seen["names"] or REFUSED in seen["ended"])
        for seen in told["planted"].values()
    )
    kept = {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "version": __version__,
        "seconds": told["seconds"],
        "packets": len(told["left"]["packets"]),
        "names": len(told["left"]["names"]),
        "tried": len(told["planted"]),
        "caught": caught,
    }
    result.write_text(json.dumps(kept))
    house.manage("sovereignty", "keep-test", str(result))
    return dict(json.loads(house.manage("sovereignty", "report", "--json").stdout))


def blocked(house: RunningHouse) -> int:
    """How many events of the trail say that something was kept from calling out."""
    code = "from muniment.audit.queries import calls_blocked; print(calls_blocked()['events'])"
    return int(in_django(house, code))


if __name__ == "__main__":
    main()
