"""`manage.py receipt TURN --out FILE`"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from muniment.audit.keys import KeyUnusable, signing_key
from muniment.conversations.receipts import NoReceipt
from muniment.pages.errors import NotFound
from workers.acting import acting_scope, add_as
from workers.answer import receipts


class Command(BaseCommand):
    help = "Write what made an answer to a signed file: its words, and the rest by hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("turn", type=UUID, metavar="TURN", help="as `ask --json` names it")
        parser.add_argument("--out", type=Path, required=True, metavar="FILE")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        scope = acting_scope(options["name"])
        try:
            key = signing_key(Path(settings.DATA_DIR))
            note = receipts.write(scope, options["turn"], key)
            options["out"].write_text(note, encoding="utf-8")
        except NotFound as error:
            raise CommandError("This person asked no such question.") from error
        except (NoReceipt, KeyUnusable) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{options['out']}: {error.strerror}") from error
        self.stdout.write(f"Whoever checks the receipt needs this key: {key.public}")
