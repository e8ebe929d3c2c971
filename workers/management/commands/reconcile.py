"""`manage.py reconcile [--dry-run] [--json]`"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from muniment.pages.errors import Forbidden
from workers.acting import acting_scope, add_as
from workers.upkeep.difference import SENTENCES, Report
from workers.upkeep.reconcile import reconcile


class Command(BaseCommand):
    help = (
        "Compares database, index and stored files, also while people work, and mends what differs. "
        "Exit code 1 when something is left that needs a person."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only look")
        parser.add_argument("--json", action="store_true", help="print what was found as JSON")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = reconcile(acting_scope(options["name"]), mend=not options["dry_run"])
        except DatabaseError as error:
            raise CommandError(_("The database cannot be read: `manage.py doctor` tells why.")) from error
        except Forbidden as error:
            raise CommandError(_("Only a site administrator may do this: say --as.")) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict(), indent=1))
        else:
            self._tell(report)
        if not report.whole:
            sys.exit(1)

    def _tell(self, report: Report) -> None:
        for what, found in report.found.items():
            left, examples = report.left[what], ", ".join(filter(None, report.examples[what]))
            words = {"found": found, "left": left}
            counts = _("%(found)s found, %(left)s left") % words if left else _("%(found)s found") % words
            style = self.style.ERROR if left else self.style.WARNING
            problem, advice = SENTENCES[what]
            self.stdout.write(style(f"{what} ({counts})") + f"  {problem} {advice}")
            if examples:
                self.stdout.write(f"    {examples}")
        if not report.index_compared:
            self.stdout.write(
                self.style.ERROR(_("The index does not answer, so it was not compared: start Muniment."))
            )
        elif not report.found:
            self.stdout.write(_("Database, index and stored files agree."))
