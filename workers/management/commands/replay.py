"""`manage.py replay RECEIPT [--key KEY]`"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from muniment.audit.keys import BadNote, KeyUnusable, PublicKey, signing_key
from muniment.conversations.receipts import NoReceipt
from workers.acting import acting_scope, add_as, require_running
from workers.answer import receipts
from workers.engines import EngineUnavailable, connect

VERDICTS = {
    "identical": "Identical: the same prompt gave the same answer.",
    "differs": "Differs: the same prompt gave another answer.",
    "environment": "What made the answer is not what it was.",
    "erased": "What the answer was made of is not there any more.",
}


class Command(BaseCommand):
    help = "Make an answer again from its receipt and compare. Exit code 0 only where it is identical."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("receipt", type=Path, metavar="RECEIPT")
        parser.add_argument("--key", metavar="KEY", help="who signed it; this installation if nothing")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        require_running()
        scope = acting_scope(options["name"])
        try:
            own = options["key"] is None
            key = signing_key(Path(settings.DATA_DIR)).public if own else PublicKey.parse(options["key"])
            receipt = receipts.read(options["receipt"].read_text(encoding="utf-8"), key)
            found = receipts.replay(scope, connect.engine(), receipt)
        except (BadNote, KeyUnusable, NoReceipt) as error:
            raise CommandError(str(error)) from error
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['receipt']} cannot be read.") from error
        except EngineUnavailable as error:
            raise CommandError("The engine does not answer. Ask `manage.py doctor` why.") from error
        self.stdout.write("\n".join([VERDICTS[found.verdict], *found.sentences]))
        if found.verdict != "identical":
            sys.exit(1)
