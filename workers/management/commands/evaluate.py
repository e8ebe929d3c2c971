"""`manage.py evaluate DATASET [--limit N] [--over DATASET] [--baselines] [--without STEP]
[--answers FILE [--mode answer|quote|plain] [--prompt-tokens N]] [--fail-below METRIC=VALUE...]`"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from muniment.evaluation.models import Run
from muniment.evaluation.queries import cases, compared, curated_library, run_before
from muniment.evaluation.services import begin_run
from muniment.pages.errors import Problem
from muniment.scope import Scope
from muniment.wall import stay_within
from workers.acting import acting_scope, add_as, cli_origin, library_named, require_running
from workers.answer.fuse import STEPS
from workers.engines import EngineUnavailable, IndexUnavailable
from workers.engines.sparse import LANGUAGES
from workers.evaluate import answers, dataset, kept, report, scratch
from workers.evaluate.answers import Answered
from workers.evaluate.baselines import ask_baselines
from workers.evaluate.dataset import DatasetError, Query
from workers.evaluate.run import MEASURES, Corpus, Value, ask_all, measure, stored, summary
from workers.evaluate.scratch import Ingested, ScratchError


class Command(BaseCommand):
    help = (
        "Measure how well the passages that answer a data set's questions are found. The documents are added "
        "to a library that nobody else sees, and stay there for the next run. Exit code 1 where a measure is "
        "below what --fail-below asks for."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument(
            "dataset", type=Path, nargs="?", metavar="DATASET", help="folder of documents and questions"
        )
        what.add_argument("--library", metavar="L", help="ask the questions that are kept of this library")
        add_as(parser)
        parser.add_argument("--limit", type=_count, metavar="N", help="ask every k-th question, N at most")
        parser.add_argument("--over", type=Path, metavar="DATASET", help="ask over this one's documents")
        parser.add_argument("--baselines", action="store_true", help="measure BM25 and the embedder, too")
        parser.add_argument(
            "--language", default="english", choices=LANGUAGES, help="stemmer of BM25 in --baselines"
        )
        parser.add_argument(
            "--without",
            action="append",
            default=[],
            choices=STEPS,
            metavar="STEP",
            help=f"leave a step of the ranking out, to see its worth: {', '.join(STEPS)}",
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
        parser.add_argument("--run", type=Path, metavar="FILE", help="write the pages found, 50 a question")
        parser.add_argument("--answers", type=Path, metavar="FILE", help="ask the model, too, and write this")
        parser.add_argument(
            "--mode",
            choices=answers.MODES,
            default=answers.ANSWER,
            help="with --answers: as people ask, with quotations only, or plainly as a yardstick",
        )
        parser.add_argument(
            "--prompt-tokens", type=_count, metavar="N", help="with --answers: instead of the machine's own"
        )
        parser.add_argument("--passages", type=Path, metavar="FILE", help="write the passages found")
        parser.add_argument(
            "--fail-below",
            type=floor,
            nargs="+",
            action="extend",
            default=[],
            metavar="MEASURE=VALUE",
            help=f"of {', '.join(MEASURES)}",
        )
        parser.add_argument(
            "--remove", action="store_true", help="measure nothing: remove the data set's documents from here"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        require_running()
        try:
            self._handle(options)
        except (DatasetError, ScratchError) as error:
            raise CommandError(str(error)) from error
        except Problem as problem:
            raise CommandError(str(problem.detail)) from problem
        except (EngineUnavailable, IndexUnavailable) as error:
            raise CommandError("Engine or index do not answer. Ask `manage.py doctor` why.") from error

    def _handle(self, options: dict[str, Any]) -> None:
        if options["library"] and options["without"]:
            raise CommandError("--without is for data sets: a library's questions are asked as people ask.")
        if options["library"]:
            self._ask_kept(options)
        else:
            self._measure(options)

    def _ask_kept(self, options: dict[str, Any]) -> None:
        """As the person who acts would from the page."""
        scope = acting_scope(options["name"])
        library = curated_library(scope, library_named(scope, options["library"]).id)
        if not cases(scope, library.id).exists():
            raise CommandError(f"No question is kept of {library.name}.")
        run = begin_run(scope, library.id, "")
        values = summary(kept.ask_kept(scope, run))
        self.stdout.write(report.table({report.PRODUCT: values}))
        self._compare(scope, run)
        self._judge(options["fail_below"], values)

    def _measure(self, options: dict[str, Any]) -> None:
        folder: Path = options["dataset"]
        tenant = scratch.tenant()
        stay_within(tenant.id)
        scope, library = scratch.library_of(
            scratch.scope_in(tenant, cli_origin()), (options["over"] or folder).resolve().name
        )
        if options["remove"]:
            scratch.remove(scope, library)
            self.stdout.write(f"The documents of {library.name} are being removed.")
            return
        queries = dataset.sample(tuple(dataset.queries(folder)), options["limit"])
        files = dataset.documents(options["over"] or folder)
        ingested = scratch.fill(scope, library, files, self._say)
        corpus = stored(scope, library, files)
        asked = ask_all(corpus, queries, self._say, without=frozenset(options["without"]))
        measured = [measure(one) for one in asked]
        answered = self._answered(corpus, queries, options) if options["answers"] else []
        measured = (
            [values | answers.measure(one) for values, one in zip(measured, answered, strict=True)]
            if answered
            else measured
        )
        systems = {report.PRODUCT: summary(measured)}
        if options["baselines"]:
            for name, others in ask_baselines(corpus, queries, options["language"], self._say):
                systems[name] = summary(map(measure, others))
        latency = report.latency(asked)
        self._print(corpus, ingested, len(queries), latency)
        self.stdout.write(report.table(systems))
        if answered:
            self.stdout.write(f"\nanswers, mode {options['mode']}: {report.waiting(answered)}")
            self.stdout.write(report.answers_table(measured))
        if not options["without"]:  # what the product would find is kept, and nothing else
            run = begin_run(scope, library.id, folder.resolve().name)
            documents = {id: version.document_id for id, version in corpus.versions.items()}
            kept.store(scope, run, asked, measured, documents)
            self._compare(scope, run)
        if options["run"]:
            with options["run"].open("w", encoding="utf-8") as out:
                report.write_run(asked, out)
        if options["passages"]:
            with options["passages"].open("w", encoding="utf-8") as out:
                report.write_passages(asked, out)
        if options["json"]:
            found = {
                "format": report.FORMAT,
                "dataset": folder.resolve().name,
                "documents": len(corpus.versions),
                "unread": list(corpus.unread),
                "passages": corpus.passages,
                "questions": len(queries),
                "without": sorted(set(options["without"])),
                "search_ms": latency,
                "ingest": {"documents": ingested.added, "seconds": round(ingested.seconds, 3)},
                "systems": report.as_dict(systems),
                "by_question": {one.query.id: values for one, values in zip(asked, measured, strict=True)},
            }
            options["json"].write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
        self._judge(options["fail_below"], systems[report.PRODUCT])

    def _judge(self, floors: list[tuple[str, float]], values: Mapping[str, Value]) -> None:
        if below := missed(floors, values):
            self.stderr.write(" ".join(below))
            sys.exit(1)

    def _answered(self, corpus: Corpus, queries: Sequence[Query], options: dict[str, Any]) -> list[Answered]:
        mode, budget, language = (options[name] for name in ("mode", "prompt_tokens", "language"))
        answered = answers.answer_all(corpus, queries, mode, budget, language, self._say)
        with options["answers"].open("w", encoding="utf-8") as out:
            report.write_answers(answered, out)
        return answered

    def _compare(self, scope: Scope, run: Run) -> None:
        """With the last run of the same questions; nothing where there is none."""
        if (before := run_before(scope, run)) and (found := compared(before, run)):
            self.stdout.write(f"\nsince {before.created_at:%Y-%m-%d %H:%M} UTC")
            self.stdout.write(report.changes(found))

    def _say(self, line: str) -> None:
        self.stderr.write(line)

    def _print(self, corpus: Corpus, ingested: Ingested, questions: int, latency: dict[str, float]) -> None:
        self.stdout.write(
            f"{corpus.library.name}: {len(corpus.versions)} documents, {corpus.passages} passages, "
            f"{questions} questions"
        )
        if corpus.unread:
            self.stdout.write(f"{len(corpus.unread)} could not be read: {', '.join(corpus.unread[:5])}")
        if ingested.added:
            each = ingested.seconds / ingested.added * 1000
            self.stdout.write(
                f"ingest: {ingested.added} documents in {ingested.seconds:.1f} s, {each:.0f} ms each, "
                f"{ingested.passages / ingested.seconds:.1f} passages/s"
            )
        self.stdout.write(f"search: p50 {latency['p50']} ms, p95 {latency['p95']} ms")


def missed(floors: list[tuple[str, float]], values: Mapping[str, Value]) -> list[str]:
    """A sentence for each measure that is below what was asked for, or was not measured."""
    sentences = []
    for name, least in floors:
        value = values.get(name)
        if value is None:
            sentences.append(f"No question here has what {name} needs.")
        elif value.mean < least:
            sentences.append(f"{name} is {value.mean:.3f}, below {least:g}.")
    return sentences


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("say a whole number from 1")
    return int(text)


def floor(text: str) -> tuple[str, float]:
    """Of MEASURE=VALUE."""
    name, _equals, value = text.lower().partition("=")
    if name not in MEASURES:
        raise ArgumentTypeError(f"{name} is no measure: choose one of {', '.join(MEASURES)}")
    try:
        return name, float(value)
    except ValueError as error:
        raise ArgumentTypeError(f"say {name}=VALUE with a number from 0 to 1") from error
