"""`manage.py calibrate DATASET... [--limit N] [--keep] [--as NAME]`"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from muniment.pages.errors import Problem
from muniment.registry.services import store_calibration
from muniment.wall import within
from workers import generations
from workers.acting import acting_scope, add_as, cli_origin, require_running
from workers.answer import answerable
from workers.engines import EngineUnavailable, IndexUnavailable
from workers.evaluate import dataset, report, scratch
from workers.evaluate.calibrate import CalibrationError, Judged, calibrate, judge_all
from workers.evaluate.dataset import DatasetError
from workers.evaluate.run import stored
from workers.evaluate.scratch import ScratchError


class Command(BaseCommand):
    help = (
        "Find out from data sets, some of whose questions have no answer, when a question is to be refused "
        "with the embedder that serves. A folder without documents is asked over those of the one before it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("datasets", type=Path, nargs="+", metavar="DATASET")
        parser.add_argument("--limit", type=int, metavar="N", help="ask every k-th question, N at most a set")
        parser.add_argument(
            "--by-words", action="store_true", help="leave meaning out, as for an embedder nobody measured"
        )
        parser.add_argument("--keep", action="store_true", help="judge so from now on")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        require_running()
        try:
            self._handle(options)
        except (CalibrationError, DatasetError, ScratchError) as error:
            raise CommandError(str(error)) from error
        except Problem as problem:
            raise CommandError(str(problem.detail)) from problem
        except (EngineUnavailable, IndexUnavailable) as error:
            raise CommandError("Engine or index do not answer. Ask `manage.py doctor` why.") from error

    def _handle(self, options: dict[str, Any]) -> None:
        judged = self._judged(options["datasets"], options["limit"])
        weights, rates = calibrate(judged, options["by_words"])
        self.stdout.write(report.rates_table(rates))
        self.stdout.write(f"\n{weights}")
        if options["keep"]:
            embedder = generations.serving().embedder_sha256
            measured = {"questions": len(judged), "datasets": [one.dataset for one in rates]}
            scope = acting_scope(options["name"])
            store_calibration(scope, embedder, answerable.stored(weights), measured)
            self.stdout.write("Questions are judged so from now on.")

    def _judged(self, folders: list[Path], limit: int | None) -> list[Judged]:
        tenant = scratch.tenant()
        judged: list[Judged] = []
        over = folders[0]
        with within(tenant.id):
            for folder in folders:
                over = folder if dataset.has_documents(folder) else over
                scope, library = scratch.library_of(
                    scratch.scope_in(tenant, cli_origin()), over.resolve().name
                )
                files = dataset.documents(over)
                scratch.fill(scope, library, files, self.stderr.write)
                queries = dataset.sample(tuple(dataset.queries(folder)), limit)
                judged += judge_all(folder.resolve().name, stored(scope, library, files), queries)
                self.stderr.write(f"{folder.resolve().name}: {len(queries)} questions asked")
        return judged
