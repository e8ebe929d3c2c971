"""`manage.py audit verify`, `audit export --out FOLDER`, `audit prove EVENT`"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from muniment.audit.bundles import NothingSealed
from muniment.audit.errors import AuditUnavailable
from muniment.audit.verifier import NotWholeError
from muniment.tenancy.models import Tenant
from workers.acting import cli_origin
from workers.upkeep import trail


class Command(BaseCommand):
    help = "Verifies the trail, takes it out as a bundle for `muniment-verify`, or proves one event of it."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("verify", help="look whether every event is as it was written and sealed")
        export = actions.add_parser("export", help="write a bundle that somebody else can verify")
        export.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new or empty folder")
        export.add_argument("--tenant", metavar="T", help="only this tenant's log")
        export.add_argument("--since", type=_day, metavar="D", help="events from this day on: 2026-11-27")
        export.add_argument("--until", type=_day, metavar="D", help="events before this day")
        prove = actions.add_parser("prove", help="write a file that shows that one event is in the log")
        prove.add_argument("event", type=UUID, metavar="EVENT")
        prove.add_argument("--out", type=Path, metavar="FILE", help="default: EVENT.tlog-proof")

    def handle(self, *args: Any, **options: Any) -> None:
        act = {"verify": self._verify, "export": self._export, "prove": self._prove}[options["action"]]
        try:
            act(options)
        except (NotWholeError, NothingSealed) as problem:
            raise CommandError(str(problem)) from problem
        except AuditUnavailable as problem:
            raise CommandError(_("The trail cannot be written, so nothing was done.")) from problem
        except OSError as problem:
            raise CommandError(f"{problem.filename}: {problem.strerror}") from problem

    def _verify(self, options: dict[str, Any]) -> None:
        found = trail.verify(cli_origin())
        for fault in found.faults:
            self.stdout.write(self.style.ERROR(fault))
        if found.faults:
            raise CommandError(_("The trail is not whole. Keep the database and its backups as they are."))
        words = {"n": found.events, "waiting": found.waiting, "key": found.fingerprint or "-"}
        self.stdout.write(_("Whole: %(n)s sealed events, %(waiting)s wait for their seal.") % words)
        self.stdout.write(_("The log's key has the fingerprint %(key)s.") % words)

    def _export(self, options: dict[str, Any]) -> None:
        tenant = None
        if options["tenant"]:
            tenant = Tenant.objects.filter(slug=options["tenant"]).first()
            if tenant is None:
                raise CommandError(_("There is no tenant %(name)s.") % {"name": options["tenant"]})
        made = trail.export(
            cli_origin(), options["out"], tenant.id if tenant else None, options["since"], options["until"]
        )
        words = {"n": made.events, "folder": options["out"], "sha256": made.sha256}
        self.stdout.write(_("%(n)s events are in %(folder)s; SHA256SUMS has the hash %(sha256)s.") % words)
        self.stdout.write(_("Verify it with `muniment-verify %(folder)s --key FINGERPRINT`.") % words)

    def _prove(self, options: dict[str, Any]) -> None:
        path = options["out"] or Path(f"{options['event']}.tlog-proof")
        trail.prove(cli_origin(), options["event"], path)
        self.stdout.write(_("Written to %(path)s.") % {"path": path})


def _day(text: str) -> datetime:
    try:
        day = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no day: write it as 2026-11-27") from None
    return day if day.tzinfo else day.replace(tzinfo=UTC)
