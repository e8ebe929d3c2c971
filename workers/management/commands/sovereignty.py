"""`manage.py sovereignty report [--json] [FILE]`, `check FILE --key KEY`, `keep-test FILE`"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from muniment.audit.errors import AuditUnavailable
from muniment.audit.keys import BadNote, KeyUnusable, PublicKey
from muniment.pages.errors import Problem
from workers.acting import acting_scope, add_as
from workers.upkeep import sovereignty
from workers.upkeep.errors import NoTestResult


class Command(BaseCommand):
    help = (
        "Reports that nothing leaves: switches, walls, peers, blocked calls, software, models, the last test."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        report = actions.add_parser("report", help="print the report, or write it to FILE, signed")
        report.add_argument(
            "file", nargs="?", type=Path, metavar="FILE", help="and its bill to FILE.cdx.json"
        )
        report.add_argument("--json", action="store_true", help="print it as JSON")
        add_as(report)
        check = actions.add_parser("check", help="compare a written report with its signature")
        check.add_argument("file", type=Path, metavar="FILE")
        check.add_argument("--key", required=True, help="the public key, as `report` printed it")
        keep = actions.add_parser("keep-test", help="keep what the test that nothing leaves wrote here")
        keep.add_argument("file", type=Path, metavar="FILE")
        add_as(keep)

    def handle(self, *args: Any, **options: Any) -> None:
        act = {"report": self._report, "check": self._check, "keep-test": self._keep}[options["action"]]
        try:
            act(options)
        except (AuditUnavailable, NoTestResult, KeyUnusable, BadNote) as error:
            raise CommandError(str(error)) from error
        except Problem as problem:
            raise CommandError(_("Only a site administrator may do this: say --as NAME.")) from problem
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error

    def _report(self, options: dict[str, Any]) -> None:
        scope = acting_scope(options["name"])
        target: Path | None = options["file"]
        written = sovereignty.write(scope, target.absolute()) if target else None
        if options["json"] or not written:
            report = written.report if written else sovereignty.build()[0]
            self.stdout.write(json.dumps(report, indent=1) if options["json"] else as_text(report))
        if written and not options["json"]:
            self._say(written)

    def _say(self, written: sovereignty.Written) -> None:
        self.stdout.write(_("The report is written. SHA-256 %(sha256)s") % {"sha256": written.sha256})
        if written.signed_by:
            self.stdout.write(_("It is signed; whoever checks it needs this key: %s") % written.signed_by)
        else:
            self.stderr.write(_("It is NOT signed. %s") % written.unsigned)

    def _check(self, options: dict[str, Any]) -> None:
        key = PublicKey.parse(options["key"])
        report = json.loads(key.check(options["file"].read_text()))
        self.stdout.write(_("The signature is right. The report was made %s.") % report["made"])

    def _keep(self, options: dict[str, Any]) -> None:
        try:
            told = json.loads(options["file"].read_text())
        except ValueError as error:
            raise NoTestResult(_("This is not what the test writes.")) from error
        sovereignty.keep_test(acting_scope(options["name"]), told)
        self.stdout.write(_("The result is kept."))


def as_text(report: dict[str, Any]) -> str:
    """The report in lines for a terminal."""
    off = [name for name, on in report["switches"].items() if not on]
    walls, test = report["walls"], report["egress_test"]
    lines = {
        _("switches"): _("OFF: %s") % ", ".join(off) if off else _("all %s on") % len(report["switches"]),
        _("peers"): ", ".join(sorted(report["peers"].values())) or _("none but this machine"),
        _("walls"): ", ".join(f"{name} {_told(value)}" for name, value in walls.items()),
        _("calls blocked"): _("%(attempts)s, the last %(last)s") % report["blocked"],
        _("software"): _("%(components)s packages and models, SHA-256 %(sha256)s") % report["software"],
        _("models"): ", ".join(f"{row['name']} {row['sha256'][:16]}" for row in report["models"])
        or _("none"),
        _("last test"): _("%(packets)s packets and %(names)s names in %(seconds)s s, %(at)s") % test
        if test
        else _("never run here"),
    }
    if report["damaged_models"]:
        lines[_("DAMAGED")] = ", ".join(report["damaged_models"])
    width = max(map(len, lines))
    return "\n".join(f"{name:{width}}  {text}" for name, text in lines.items())


def _told(value: bool | int) -> str:
    return {True: _("yes"), False: _("NO")}[value] if isinstance(value, bool) else str(value)
