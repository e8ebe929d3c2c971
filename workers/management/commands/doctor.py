"""`manage.py doctor [--json]`"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from workers.upkeep.doctor import as_rows, examine, is_ill
from workers.upkeep.finding import State


class Command(BaseCommand):
    help = "Checks every part and says what to do. Exit code 1 when something is broken."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the findings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = examine()
        if options["json"]:
            self.stdout.write(json.dumps(as_rows(findings), indent=1))
        else:
            styles = {
                State.OK: self.style.SUCCESS,
                State.WARN: self.style.WARNING,
                State.BAD: self.style.ERROR,
            }
            width = max(len(finding.name) for finding in findings)
            for finding in findings:
                state = styles[finding.state](f"{finding.state.value:4}")
                self.stdout.write(f"{state}  {finding.name:{width}}  {finding.sentence}")
        if is_ill(findings):
            sys.exit(1)
