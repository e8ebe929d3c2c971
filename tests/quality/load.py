"""`make load`: a site's processes on PostgreSQL under many signed-in people. PEOPLE=200 SECONDS=60.

    python -m tests.quality.load [PEOPLE] [SECONDS]

Two web parts, each behind a proxy of its own, share the people. Fails on any error, on a page slower than
half a second (p95), on work that piles up, on memory that climbs.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.faults.look import long_text
from tests.running import ROOT
from tests.running_site import RunningSite, served

LIBRARIES, DOCUMENTS = 4, 160
# Sign-ins cost a tenth of a second of one core each, on purpose.
SIGN_INS_A_SECOND = 4
PAGE_SECONDS = 0.5
# What a process may still grow by after the first third, in bytes: caches fill.
GROWTH = 40_000_000
# Of a container that names no weight.
FULL_SHARES = 1024
STREAMS = ("library stream", "answer's stream")


@dataclass(frozen=True)
class Look:
    """The site at a moment: open jobs by kind; resident bytes and seconds of processor so far, by part."""

    at: float
    jobs: dict[str, int]
    memory: dict[str, int]
    worked: dict[str, float]


def main(people: int = 200, seconds: int = 60) -> int:
    with served() as site:
        site.prepare()
        site.start()
        with site.second_web() as second:
            _weigh(site)
            about = _fill(site, site.folder, people, [site.url, second])
            looks, numbers = _run(site, site.folder, about, people, seconds)
    return _report(looks, numbers)


def _weigh(site: RunningSite) -> None:
    """What each part may have of a processor that all want: its container's weight, given to its session.

    Linux shares the processor among sessions where no control group does; a step of a session's nice value
    is a quarter of its weight.
    """
    for name, part in site.parts.items():
        shares = site.services.get(name, {}).get("cpu_shares", FULL_SHARES)
        for leader in psutil.Process(part.pid).children(recursive=True):
            if os.getsid(leader.pid) == leader.pid:
                weight = round(math.log(FULL_SHARES / shares, 1.25))
                Path(f"/proc/{leader.pid}/autogroup").write_text(str(weight))
                time.sleep(0.2)  # an account may say it once in a tenth of a second


def _fill(site: RunningSite, folder: Path, people: int, addresses: list[str]) -> Path:
    _say(f"making {people} people, {LIBRARIES} libraries and {DOCUMENTS} documents")
    made = subprocess.run(
        [sys.executable, "-m", "tests.quality.load_people", str(people), str(LIBRARIES)],
        cwd=ROOT,
        env=site.environment
        | {
            "MUNIMENT_DATABASE_URL": site.cluster.url("postgres"),
            "DJANGO_SETTINGS_MODULE": "workers.settings",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "platform"), str(ROOT))),
        },
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    about = json.loads(made.stdout.splitlines()[-1])
    texts = folder / "texts"
    texts.mkdir()
    for number in range(DOCUMENTS):
        (texts / f"report-{number:03}.txt").write_bytes(long_text(number, 6))
    files = sorted(texts.iterdir())
    for at, library in enumerate(about["libraries"]):
        site.manage(
            "ingest", *map(str, files[at::LIBRARIES]), "--library", library["slug"], "--wait", timeout=1800
        )
    words = {word for file in files[:20] for word in file.read_text().split() if len(word) > 4}
    path = folder / "people.json"
    path.write_text(json.dumps({**about, "words": sorted(words), "addresses": addresses}))
    return path


def _run(
    site: RunningSite, folder: Path, about: Path, people: int, seconds: int
) -> tuple[list[Look], list[dict[str, str]]]:
    signing_in = people // SIGN_INS_A_SECOND
    _say(f"signing in for {signing_in} s, then {seconds} s of work; load average {os.getloadavg()[0]:.1f}")
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "tests/quality/people.py"), "--headless"]
    command += ["-u", str(people), "-r", str(SIGN_INS_A_SECOND), "--reset-stats"]
    command += ["-t", str(signing_in + seconds), "--csv", str(folder / "load"), "--only-summary", "-s", "3"]
    looks: list[Look] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(5):
            look = _look(site, crowd)
            # Of people who have gone it cannot be said what they took.
            if crowd.poll() is None:
                looks.append(look)

    watcher = threading.Thread(target=watch, daemon=True)
    with (folder / "locust.log").open("wb") as log:
        crowd = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | {"PEOPLE_FILE": str(about)}, stdout=log, stderr=log
        )
        time.sleep(signing_in)
        watcher.start()
        crowd.wait()
    over.set()
    watcher.join()
    if not (folder / "load_stats.csv").exists():
        raise SystemExit((folder / "locust.log").read_text()[-3000:])
    for failure in csv.DictReader((folder / "load_failures.csv").open()):
        _say(f"{failure['Occurrences']} x {failure['Name']}: {failure['Error'][:200]}")
    return looks, list(csv.DictReader((folder / "load_stats.csv").open()))


def _look(site: RunningSite, crowd: subprocess.Popen[bytes]) -> Look:
    rows = site.cluster.sql(
        "SELECT kind, count(*) FROM jobs_job WHERE state IN ('ready', 'running') GROUP BY kind", "muniment"
    )
    jobs = {kind: int(number) for kind, number in (row.split("|") for row in rows.splitlines())}
    memory = {name: state["rss"] or 0 for name, state in site.states().items()}
    pids = {**site.pids(), "the people": crowd.pid}
    return Look(time.monotonic(), jobs, memory, {name: _worked(pid) for name, pid in pids.items()})


def _worked(pid: int) -> float:
    """Of a process and those below it, the ended ones too."""
    seconds = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in [top, *top.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                seconds += sum(process.cpu_times()[:4])
    return seconds


def _report(looks: list[Look], numbers: list[dict[str, str]]) -> int:
    faults = []
    print(f"{'action':<24}{'count':>7}{'errors':>7}{'p50 ms':>8}{'p95 ms':>8}")
    for row in numbers:
        name, count, errors = row["Name"], int(row["Request Count"]), int(row["Failure Count"])
        p50, p95 = (row[part] for part in ("50%", "95%"))
        print(f"{name:<24}{count:>7}{errors:>7}{p50:>8}{p95:>8}")
        if errors:
            faults.append(f"{errors} errors in {name}")
        if name not in STREAMS and p95.isdigit() and int(p95) > PAGE_SECONDS * 1000:
            faults.append(f"p95 of {name} is {p95} ms")
    third = len(looks) // 3
    middle, last = looks[third], looks[-1]
    print(f"{'part':<24}{'MB then':>8}{'MB at the end':>15}{'cores':>8}")
    for name, seconds in last.worked.items():
        cores = (seconds - looks[0].worked[name]) / (last.at - looks[0].at)
        memory = [f"{look.memory[name] / 1e6:.0f}" if name in look.memory else "" for look in (middle, last)]
        print(f"{name:<24}{memory[0]:>8}{memory[1]:>15}{cores:>8.2f}")
    for name, bytes_now in last.memory.items():
        if bytes_now - middle.memory[name] > GROWTH:
            faults.append(f"{name} grew by {(bytes_now - middle.memory[name]) / 1e6:.0f} MB")
    for kind in sorted({kind for look in looks for kind in look.jobs}):
        open_jobs = [look.jobs.get(kind, 0) for look in looks]
        print(f"open jobs, {kind}: {' '.join(map(str, open_jobs))}")
        if min(open_jobs[-third:]) > max(10, 2 * max(open_jobs[:third])):
            faults.append(f"{kind} piles up")
    print(f"load average {os.getloadavg()[0]:.1f}")
    for fault in faults:
        print(f"NOT REACHED: {fault}")
    return 1 if faults else 0


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
