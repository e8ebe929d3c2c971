"""How many of the words that people see in files the readers find, by format.

    python -m tests.quality.words_recalled FILES EXPECTED [--worst N]

`EXPECTED/NAME.txt` is what a person sees in `FILES/NAME`, in any order; `plain_words` makes a first draft
of it. Words count as often as they stand there; a format's share is the mean of its files.
"""

from __future__ import annotations

import argparse
import re
import time
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import django

WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Reading:
    name: str
    verdict: str
    recalled: float
    missing: list[str]
    seconds: float

    @property
    def form(self) -> str:
        return Path(self.name).suffix.lower().removeprefix(".")


def words(text: str) -> Counter[str]:
    return Counter(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def recalled(expected: str, found: str) -> tuple[float, list[str]]:
    """The share of the expected words that were found, 1 where none are expected, and those missing."""
    wanted = words(expected)
    missing = wanted - words(found)
    total = wanted.total()
    return (1 - missing.total() / total if total else 1.0), [word for word, _ in missing.most_common()]


def readings(files: Path, expected: Path) -> list[Reading]:
    from workers.ingest.errors import ReadError
    from workers.ingest.sandbox import read_in_child, warm_up

    warm_up()
    found = []
    for text in sorted(expected.glob("*.txt")):
        path = files / text.name.removesuffix(".txt")
        began = time.monotonic()
        verdict, read = "read", ""
        try:
            read = read_in_child(path, path.name).text
        except ReadError as error:
            verdict = error.code
        share, missing = recalled(text.read_text(encoding="utf-8"), read)
        found.append(Reading(path.name, verdict, share, missing, time.monotonic() - began))
    return found


def table(found: list[Reading]) -> str:
    by_form: dict[str, list[Reading]] = defaultdict(list)
    for one in found:
        by_form[one.form].append(one)
    lines = ["| format | files | words recalled | worst file |", "| --- | --- | --- | --- |"]
    for form, group in sorted(by_form.items()):
        mean = sum(one.recalled for one in group) / len(group)
        lines.append(f"| {form} | {len(group)} | {mean:.3f} | {min(one.recalled for one in group):.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", type=Path)
    parser.add_argument("expected", type=Path)
    parser.add_argument("--worst", type=int, default=0, metavar="N", help="name the N worst files")
    options = parser.parse_args()
    django.setup()
    found = readings(options.files, options.expected)
    print(table(found))
    for one in sorted(found, key=lambda one: one.recalled)[: options.worst]:
        missing = " ".join(one.missing[:12])
        print(f"{one.recalled:.3f} {one.verdict:12} {one.seconds:5.1f} s  {one.name}: {missing}")


if __name__ == "__main__":
    main()
