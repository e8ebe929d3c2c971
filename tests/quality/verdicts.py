"""How a folder of broken, locked and hostile files ends: a table of verdicts by kind.

    python -m tests.quality.verdicts FOLDER [--manifest FILE]

A file's kind is the folder that it lies in. A manifest has a line a file, columns parted by tabs, `file` and
`expect` among them; files that end otherwise than expected are named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import django
import psutil

AT_ONCE = 2
READ, LOCKED = "read", "encrypted"
# No file should bring these about that is no bomb.
ENDED_BY_FORCE = ("killed_reader", "took_too_long", "too_much_memory")
ALLOWED = {
    "text": lambda verdict: verdict == READ,
    "error": lambda verdict: verdict != READ,
    "error-or-text": lambda verdict: True,
    "needs-password": lambda verdict: verdict == LOCKED,
    "text-or-needs-password": lambda verdict: verdict in (READ, LOCKED),
}


@dataclass(frozen=True)
class Ending:
    file: str
    verdict: str
    seconds: float

    @property
    def kind(self) -> str:
        return str(Path(self.file).parent)


def endings(folder: Path) -> list[Ending]:
    from workers.ingest.errors import ReadError
    from workers.ingest.sandbox import read_in_child, warm_up

    def end(path: Path) -> Ending:
        began = time.monotonic()
        try:
            read_in_child(path, path.name)
            verdict = READ
        except ReadError as error:
            verdict = error.code
        return Ending(str(path.relative_to(folder)), verdict, time.monotonic() - began)

    warm_up()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(end, sorted(path for path in folder.rglob("*") if path.is_file())))


def table(found: list[Ending]) -> str:
    counts = Counter((one.kind, one.verdict) for one in found)
    verdicts = sorted({one.verdict for one in found}, key=lambda verdict: (verdict != READ, verdict))
    lines = [f"| kind | {' | '.join(verdicts)} |", "| --- " * (len(verdicts) + 1) + "|"]
    for kind in sorted({one.kind for one in found}):
        lines.append(f"| {kind} | {' | '.join(str(counts[kind, verdict] or '') for verdict in verdicts)} |")
    return "\n".join(lines)


def unexpected(found: list[Ending], manifest: Path) -> list[str]:
    with manifest.open(encoding="utf-8", newline="") as stream:
        expected = {row["file"]: row["expect"] for row in csv.DictReader(stream, delimiter="\t")}
    return [
        f"{one.file}: {one.verdict}, expected {expected[one.file]}"
        for one in found
        if one.file in expected and not ALLOWED[expected[one.file]](one.verdict)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--manifest", type=Path)
    options = parser.parse_args()
    django.setup()
    found = endings(options.folder)
    print(table(found))
    slowest = max(found, key=lambda one: one.seconds)
    print(f"{len(found)} files; the slowest took {slowest.seconds:.1f} s: {slowest.file}")
    left = [one.pid for warm in psutil.Process().children() for one in warm.children()]
    wrong = [f"{one.file}: {one.verdict}" for one in found if one.verdict in ENDED_BY_FORCE]
    wrong += [f"process {pid} is left" for pid in left]
    wrong += unexpected(found, options.manifest) if options.manifest else []
    print("\n".join(wrong) or "all as they should be")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
