"""`manage.py ask "question" --library L [--quote] [--json]`"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from muniment.conversations.models import OPEN_TURNS, Mode, Turn
from muniment.conversations.queries import sources_of
from muniment.conversations.services import ask
from muniment.pages.errors import Problem
from muniment.scope import Scope
from workers.acting import acting_scope, add_as, library_named, require_running

# Two questions a person on a slow machine would still wait for.
LONGEST_WAIT_SECONDS = 600


class Command(BaseCommand):
    help = "Ask a library a question and print the answer with its sources. Exit code 1 when it failed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("question")
        parser.add_argument(
            "--library", required=True, metavar="L", help="slug of the library, or TENANT/SLUG"
        )
        parser.add_argument(
            "--quote", action="store_true", help="answer with sentences of the documents and nothing else"
        )
        parser.add_argument(
            "--json", action="store_true", help="print answer, state, citations and timings as JSON"
        )
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        require_running()
        scope = acting_scope(options["name"])
        library = library_named(scope, options["library"])
        try:
            mode = Mode.QUOTE if options["quote"] else Mode.ANSWER
            turn = ask(scope, options["question"], libraries=[library.id], mode=mode)
        except Problem as problem:
            raise CommandError(str(problem.detail)) from problem
        result = as_dict(scope, _wait(turn))
        if options["json"]:
            self.stdout.write(json.dumps(result, indent=1, ensure_ascii=False))
        else:
            self.stdout.write(_as_text(result))
        if result["state"] == "failed":
            raise CommandError(f"The question could not be answered ({turn.error_code}).")


def _wait(turn: Turn) -> Turn:
    until = time.monotonic() + LONGEST_WAIT_SECONDS
    while turn.state in OPEN_TURNS:
        if time.monotonic() > until:
            raise CommandError("There is no answer yet. It is kept under this person's questions.")
        time.sleep(0.2)
        turn.refresh_from_db()
    return turn


def as_dict(scope: Scope, turn: Turn) -> dict[str, Any]:
    """An ended turn for programs; a citation is n, document, file, page, text; timings are seconds."""
    return {
        "turn": str(turn.id),
        "answer": turn.answer,
        "state": str(turn.state),
        "citations": [
            {
                "n": seen.source.n,
                "document": str(seen.source.document),
                "file": seen.passage.version.document.name,
                "page": seen.source.page,
                "text": seen.passage.text,
            }
            for seen in sources_of(scope, turn)
            if seen.source.cited and seen.passage
        ],
        "timings": turn.timings,
    }


def _as_text(result: dict[str, Any]) -> str:
    sources = [f"[{c['n']}] {c['file']}, page {c['page']}" for c in result["citations"]]
    return "\n".join([result["answer"] or f"({result['state']})", "", *sources]).rstrip()
