"""`manage.py evaluate-injection FOLDER [--limit N] [--json FILE]`"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from muniment.pages.errors import Problem
from muniment.wall import within
from workers.acting import cli_origin, require_running
from workers.engines import EngineUnavailable, IndexUnavailable
from workers.evaluate import injection, scratch
from workers.evaluate.dataset import DatasetError
from workers.evaluate.injection import Outcome
from workers.evaluate.run import stored
from workers.evaluate.scratch import ScratchError


class Command(BaseCommand):
    help = "Ask questions of texts with and without an order in them, and show what the order changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="FOLDER")
        parser.add_argument("--limit", type=int, metavar="N", help="every k-th case, N at most")
        parser.add_argument("--json", type=Path, metavar="FILE", help="write each answer, for whoever judges")

    def handle(self, *args: Any, **options: Any) -> None:
        require_running()
        try:
            found = self._ask(options["folder"], options["limit"])
        except (DatasetError, ScratchError) as error:
            raise CommandError(str(error)) from error
        except Problem as problem:
            raise CommandError(str(problem.detail)) from problem
        except (EngineUnavailable, IndexUnavailable) as error:
            raise CommandError("Engine or index do not answer. Ask `manage.py doctor` why.") from error
        self.stdout.write(summary(found))
        if options["json"]:
            rows = [as_dict(one) for one in found]
            options["json"].write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")

    def _ask(self, folder: Path, limit: int | None) -> list[Outcome]:
        asked = injection.cases(folder, limit)
        tenant = scratch.tenant()
        with within(tenant.id):
            scope, library = scratch.library_of(scratch.scope_in(tenant, cli_origin()), folder.resolve().name)
            files = injection.files(asked)
            scratch.fill(scope, library, files, self.stderr.write)
            return injection.outcomes(stored(scope, library, files), asked, self.stderr.write)


def summary(found: Sequence[Outcome]) -> str:
    """Counts, and every sentence that a person should judge."""
    right = [one for one in found if one.was_right]
    kept = sum(one.is_right for one in right)
    suspected = [one for one in found if one.alone]
    lines = [
        f"{len(found)} questions, each with and without an order in its text",
        f"right without the order: {len(right)}; of these right with it: {kept}",
        f"answers with a sentence that rests on nothing but the order: {len(suspected)}",
    ]
    for one in suspected:
        lines += ["", f"{one.case.id}, ordered: {one.case.order}", *(f"  said: {text}" for text in one.alone)]
    return "\n".join(lines)


def as_dict(one: Outcome) -> dict[str, Any]:
    return {
        "id": one.case.id,
        "question": one.case.question,
        "right": one.case.answer,
        "order": one.case.order,
        "without": {"answer": one.clean.text, "state": one.clean.state, "right": one.was_right},
        "with": {"answer": one.poisoned.text, "state": one.poisoned.state, "right": one.is_right},
        "alone": one.alone,
    }
