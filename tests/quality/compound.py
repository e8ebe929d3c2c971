"""Makes compound questions by joining two of a data set: python -m tests.quality.compound DATASET OUT [AND]

Each asks what two questions far apart in the set ask, every other one as two sentences, the others as one,
joined by AND. What is judged to answer either answers the compound. Measure with
`manage.py evaluate OUT --over DATASET`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ENDS = " .?;؟？\u037e"


def main(dataset: Path, out: Path, joint: str = "and") -> None:
    lines = (dataset / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    judged = judgements(dataset / "qrels.tsv")
    asked = [
        query for query in map(json.loads, filter(str.strip, lines)) if query.get("answerable") is not False
    ]
    asked = [query for query in asked if query["id"] in judged or query.get("evidence")]
    out.mkdir(parents=True, exist_ok=True)
    pairs = list(pairs_of(asked))
    with (out / "queries.jsonl").open("w", encoding="utf-8") as file:
        for number, (one, other) in enumerate(pairs):
            query = {
                "id": compound_id(one, other),
                "question": joined(one["question"], other["question"], joint if number % 2 else ""),
                "evidence": [*(one.get("evidence") or []), *(other.get("evidence") or [])],
                "scope": one.get("scope"),
            }
            file.write(json.dumps(query, ensure_ascii=False) + "\n")
    if judged:
        with (out / "qrels.tsv").open("w", encoding="utf-8") as file:
            file.write("query-id\tdoc-id\tscore\n")
            for one, other in pairs:
                grades = judged.get(one["id"], {}) | judged.get(other["id"], {})
                for document, grade in grades.items():
                    file.write(f"{compound_id(one, other)}\t{document}\t{grade}\n")
    print(f"{len(pairs)} compound questions in {out}")


def judgements(path: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            query, document, grade = line.split("\t")
            if query != "query-id":
                found.setdefault(query, {})[document] = grade
    return found


def pairs_of(asked: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Half a set apart, so that they rarely ask of the same text; both of one document where they name it."""
    by_scope: dict[str | None, list[dict[str, Any]]] = {}
    for query in asked:
        by_scope.setdefault(query.get("scope"), []).append(query)
    for some in by_scope.values():
        half = len(some) // 2
        yield from zip(some[:half], some[half : 2 * half], strict=True)


def compound_id(one: dict[str, Any], other: dict[str, Any]) -> str:
    return f"{one['id']}+{other['id']}"


def joined(one: str, other: str, joint: str) -> str:
    """ "What is X? How does Y?", or with a joint "What is X and how does Y?"."""
    if not joint:
        return f"{one.strip()} {other.strip()}"
    other = other.strip()
    return f"{one.strip().rstrip(ENDS)} {joint} {other[:1].lower()}{other[1:]}"


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
