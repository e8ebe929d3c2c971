"""`make bench`: how quick the main job is here, each figure beside its yardstick from the same run.

    python -m tests.quality.bench [FILE_OR_FOLDER...]

Ingests the files given, else text made up here, into an installation of its own with the default model.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import django

from tests.faults.look import Site, long_text
from tests.quality.rows import Row
from tests.running import DEFAULT_MODEL, ROOT, RunningHouse

TIMES = 5
QUESTIONS = [
    "How many days of annual leave does everybody have?",
    "Within which time is an incident of level 2 reported?",
    "How long are reports kept?",
    "What does the person on call do when the pump stops?",
    "How long must a password be?",
    "When does the safety committee meet?",
    "Who may open pump station 7?",
    "How much is paid for a night in a hotel?",
    "What is done with a lost laptop?",
]


def main(paths: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="muniment-bench-") as folder:
        house = RunningHouse(Path(folder), DEFAULT_MODEL)
        os.environ.update(house.environment)
        django.setup()
        house.prepare()
        house.start()
        try:
            rows = list(_rows(house, [*map(Path, paths)] or [_made_up(Path(folder))]))
        finally:
            house.stop()
    for row in rows:
        mark = "" if row.reached else "  <- not reached"
        print(f"{row.measure:<44} {row.here:>12}  {row.yardstick:<44} {row.reach}{mark}")
    return 0 if all(row.reached for row in rows) else 1


def _made_up(folder: Path) -> Path:
    texts = folder / "texts"
    texts.mkdir()
    for number in range(TIMES):
        (texts / f"text-{number}.txt").write_bytes(long_text(number, 500))
    return texts


def _rows(house: RunningHouse, paths: Sequence[Path]) -> Iterator[Row]:
    site = Site(house)
    _say("waiting for the sample documents and the speed trial")
    _until_idle(site)
    _say("asking")
    yield from _answers(site)
    yield from _engine(house)
    _say("ingesting")
    yield _ingest(site, paths)
    yield _web_memory(house)
    yield _web_start(house)


def _until_idle(site: Site) -> None:
    """No work left, and the machine's speed measured: that wants a quiet minute."""
    until = time.monotonic() + 600
    while time.monotonic() < until:
        open_jobs = site.rows("SELECT 1 FROM jobs_job WHERE state IN ('ready', 'running') LIMIT 1")
        if not open_jobs and site.rows("SELECT 1 FROM registry_engine WHERE tried_at IS NOT NULL"):
            return
        time.sleep(1)
    raise SystemExit("The machine is too busy to measure anything.")


def _answers(site: Site) -> Iterator[Row]:
    asked = [_ask(site, question) for question in QUESTIONS]
    sources, words = (
        [seconds[event] for seconds in asked if event in seconds] for event in ("sources", "token")
    )
    yield Row(
        "sources shown after the question, median",
        f"{statistics.median(sources):.2f} s",
        f"{len(sources)} questions, the slowest {max(sources):.2f} s",
        "<= 1 s",
        max(sources) <= 1,
    )
    yield Row(
        "first word after the question, median",
        f"{statistics.median(words):.1f} s",
        f"{len(words)} answers, the slowest {max(words):.1f} s",
        "15 s is set",
        max(words) <= 15,
    )


def _ask(site: Site, question: str) -> dict[str, float]:
    """Seconds from sending the question to the first event of each name, as a browser comes to know of it."""
    site.client.get("/profile")
    begun = time.perf_counter()
    asked = site.client.post(
        "/ask", data={"question": question}, headers=site.headers(), follow_redirects=False
    )
    page, _hash, turn = asked.headers["Location"].partition("#turn-")
    site.client.get(page)
    seen: dict[str, float] = {}
    with site.client.stream("GET", f"/turns/{turn}/events", timeout=120) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                seen.setdefault(line.removeprefix("event: "), time.perf_counter() - begun)
            if line == "event: done":
                return seen
    raise SystemExit("An answer's stream broke off.")


def _engine(house: RunningHouse) -> Iterator[Row]:
    """The installation's engine, with llama.cpp in its own process as the yardstick."""
    from tests.quality.engine_speed import rows
    from workers.engines import catalogue
    from workers.engines.engine import OpenAIEngine

    engine = OpenAIEngine(f"unix:{house.run}/engine.sock")
    context = str(engine.facts().context)
    with _measured("model", str(catalogue.path_of(DEFAULT_MODEL)), context) as bare:
        yield from rows(engine, bare)
    engine.close()


def _ingest(site: Site, paths: Sequence[Path]) -> Row:
    """From first file in work to last one published, in turn with the bare embedder on the passages."""
    from workers.engines import catalogue
    from workers.engines.int8 import multiplied_directly

    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*.*")))
    groups = [group for group in (files[start::TIMES] for start in range(TIMES)) if group]
    ours, bare, passages = [], [], 0
    with _measured("embedder", str(catalogue.path_of("all-minilm-l6-v2"))) as embed:
        embed(["warm up"])
        for group in groups:
            seconds, texts = _ingested(site, group)
            ours.append(seconds)
            bare.append(embed(texts))
            passages += len(texts)
    speed = statistics.median(alone / own for own, alone in zip(ours, bare, strict=True))
    least = 1.5 if multiplied_directly() else 0.9
    return Row(
        "ingest, from reading to published",
        f"{passages / sum(ours):.1f} a second",
        f"bare embedder {passages / sum(bare):.1f}, {len(files)} files, {passages} passages: {speed:.2f}x",
        f">= {least}x",
        speed >= least,
    )


def _ingested(site: Site, files: Sequence[Path]) -> tuple[float, list[str]]:
    """Seconds until these files were published, and the texts of their passages as they were embedded."""
    (last,) = site.rows("SELECT max(created_at) AS at FROM documents_version")
    site.house.manage("ingest", *map(str, files), "--library", site.slug, "--wait", check=False, timeout=7200)
    rows = site.rows(
        "SELECT v.started_at, v.published_at, d.title, p.heading, p.text FROM documents_passage p"
        " JOIN documents_version v ON p.version_id = v.id JOIN documents_document d ON v.document_id = d.id"
        " WHERE v.state = 'published' AND v.created_at > ?",
        last["at"],
    )
    begun = min(datetime.fromisoformat(row["started_at"]) for row in rows)
    ended = max(datetime.fromisoformat(row["published_at"]) for row in rows)
    texts = [f"{row['title']} {row['heading']}\n{row['text']}" for row in rows]
    return (ended - begun).total_seconds(), texts


def _web_memory(house: RunningHouse) -> Row:
    resident = house.states()["web"]["rss"] / 1e6
    return Row("web process, resident after all that", f"{resident:.0f} MB", "", "<= 150 MB", resident <= 150)


def _web_start(house: RunningHouse) -> Row:
    seconds = []
    for _time in range(TIMES):
        before, logged = house.states()["web"]["pid"], house.log.stat().st_size
        house.kill("web")
        while house.states()["web"]["pid"] in {before, None} or house.states()["web"]["state"] != "ready":
            time.sleep(0.05)
        said = house.log.read_text()[logged:]
        seconds.append(float(said.rpartition("web is ready after ")[2].split()[0]))
    middle = statistics.median(seconds)
    return Row(
        "web process, start to first answer", f"{middle:.1f} s", f"{TIMES} starts", "<= 2 s", middle <= 2
    )


@contextmanager
def _measured(*arguments: str) -> Iterator[Any]:
    command = [sys.executable, "-m", "tests.quality.bare", *arguments]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin and child.stdout

    def measure(asked: Sequence[str] | Sequence[Mapping[str, str]]) -> float:
        assert child.stdin and child.stdout
        child.stdin.write(json.dumps(asked) + "\n")
        child.stdin.flush()
        return float(child.stdout.readline())

    try:
        yield measure
    finally:
        child.stdin.close()
        child.wait()


def _say(what: str) -> None:
    sys.stderr.write(f"{what} ...\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
