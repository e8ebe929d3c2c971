"""What an evaluation writes: a table for people, files that anybody can score again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

from muniment.evaluation.comparison import Comparison
from workers.evaluate import metrics
from workers.evaluate.run import MEASURES, Asked, Value

PRODUCT = "Muniment"
FORMAT = 1
# Passages written for each question.
PASSAGES_WRITTEN = 20


def table(systems: Mapping[str, Mapping[str, Value]]) -> str:
    """A row for each measure that has any question, a column for each system."""
    rows = [["", *systems, "questions"]]
    for name in MEASURES:
        values = [system.get(name) for system in systems.values()]
        asked = max((value.n for value in values if value), default=0)
        if asked:
            rows.append([name, *(f"{value.mean:.3f}" if value else "" for value in values), str(asked)])
    if len(rows) == 1:
        return "No question has judgements here, so nothing was measured but the time."
    return "\n".join(_aligned(rows))


def changes(found: Sequence[Comparison]) -> str:
    """A row for each measure: before, after, better, worse and same, and whether that is noise."""
    rows = [["", "before", "now", "better", "worse", "same", "p"]]
    for one in found:
        numbers = [f"{one.before:.3f}", f"{one.after:.3f}", one.better, one.worse, one.same, f"{one.p:.3f}"]
        rows.append([one.measure, *map(str, numbers)])
    lines = _aligned(rows)
    notes = ["", *("" if not one.better + one.worse else " noise" if one.is_noise else "" for one in found)]
    return "\n".join(line + note for line, note in zip(lines, notes, strict=True))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    first, *widths = (max(map(len, column)) for column in zip(*rows, strict=True))
    return ["  ".join([name.ljust(first), *map(str.rjust, cells, widths)]) for name, *cells in rows]


def latency(asked: Sequence[Asked]) -> dict[str, float]:
    """Milliseconds of a search: the slowest of the quicker half, and of the quicker 95 %."""
    seconds = [one.seconds for one in asked]
    if not seconds:
        return {}
    return {f"p{percent}": round(metrics.percentile(seconds, percent) * 1000, 1) for percent in (50, 95)}


def as_dict(systems: Mapping[str, Mapping[str, Value]]) -> dict[str, Any]:
    return {system: means(values) for system, values in systems.items()}


def means(values: Mapping[str, Value]) -> dict[str, Any]:
    return {name: {"mean": round(value.mean, 6), "questions": value.n} for name, value in values.items()}


def write_run(asked: Iterable[Asked], out: TextIO) -> None:
    """A line a page found, best first: query-id, doc-id, rank, score, page."""
    for one in asked:
        for rank, ((document, page), score) in enumerate(one.pages, 1):
            out.write(f"{one.query.id}\t{document}\t{rank}\t{score:.6f}\t{page}\n")


def write_passages(asked: Iterable[Asked], out: TextIO) -> None:
    """A JSON object a question, with the best passages found."""
    for one in asked:
        passages = [
            {"doc": found.document, "page": found.page, "text": found.text}
            for found in one.found[:PASSAGES_WRITTEN]
        ]
        out.write(json.dumps({"id": one.query.id, "passages": passages}, ensure_ascii=False) + "\n")
