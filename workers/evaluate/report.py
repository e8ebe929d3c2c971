"""What an evaluation writes: a table for people, files that anybody can score again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any, TextIO

from muniment.evaluation.comparison import Comparison
from workers.evaluate import metrics
from workers.evaluate.answers import Answered
from workers.evaluate.run import OF_ANSWERS, OF_RETRIEVAL, Asked, Value, by_measure

if TYPE_CHECKING:  # its library takes seconds to import, and only one command needs it
    from workers.evaluate.calibrate import Rates

PRODUCT = "Muniment"
FORMAT = 1
# Passages written for each question.
PASSAGES_WRITTEN = 20


def table(systems: Mapping[str, Mapping[str, Value]]) -> str:
    """A row for each measure that has any question, a column for each system."""
    rows = [["", *systems, "questions"]]
    for name in OF_RETRIEVAL:
        values = [system.get(name) for system in systems.values()]
        asked = max((value.n for value in values if value), default=0)
        if asked:
            rows.append([name, *(f"{value.mean:.3f}" if value else "" for value in values), str(asked)])
    if len(rows) == 1:
        return "No question has judgements here, so nothing was measured but the time."
    return "\n".join(_aligned(rows))


def answers_table(measured: Iterable[Mapping[str, float]]) -> str:
    """A row for each measure of answers, with the interval in which its true value probably lies."""
    rows = [["", "mean", "95 % from", "to", "questions"]]
    for name, values in by_measure(measured).items():
        if name in OF_ANSWERS:
            figures = (fmean(values), *metrics.interval(values))
            rows.append([name, *(f"{figure:.3f}" for figure in figures), str(len(values))])
    return "\n".join(_aligned(rows))


def rates_table(rates: Sequence[Rates]) -> str:
    """A row for each data set: how well those with an answer are told from those without."""
    rows = [["", "with an answer", "without", "AUROC", "refused rightly", "refused wrongly"]]
    for one in rates:
        shares = (one.auroc, one.refused_rightly, one.refused_wrongly)
        cells = ("" if share is None else f"{share:.3f}" for share in shares)
        rows.append([one.dataset, str(one.answerable), str(one.unanswerable), *cells])
    return "\n".join(_aligned(rows))


def waiting(answered: Sequence[Answered]) -> str:
    """Seconds to the first token and to the end, of the middle one and of the slowest twentieth."""
    lines = []
    for name in ("first_token", "total"):
        seconds = [one.seconds[name] for one in answered if name in one.seconds]
        if seconds:
            middle, slow = (metrics.percentile(seconds, percent) for percent in (50, 95))
            lines.append(f"{name.replace('_', ' ')}: p50 {middle:.1f} s, p95 {slow:.1f} s")
    return "; ".join(lines)


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


def write_answers(answered: Iterable[Answered], out: TextIO) -> None:
    """A JSON object a question, with what was said and on which passages it rests."""
    for one in answered:
        line = {
            "id": one.query.id,
            "answer": one.text,
            "abstained": one.abstained,
            "state": one.state,
            "citations": [{"doc": c.document, "page": c.page, "text": c.text} for c in one.citations],
            "seconds": {name: round(value, 3) for name, value in one.seconds.items()},
            "prompt_tokens": one.prompt_tokens,
        }
        out.write(json.dumps(line, ensure_ascii=False) + "\n")


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
