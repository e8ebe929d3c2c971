"""`manage.py restore FILE [--force]`"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from muniment.pages.errors import Problem
from workers.acting import acting_scope, add_as
from workers.guard import AlreadyRunning
from workers.upkeep.errors import BackupDamaged, BackupTooNew, FolderInUse, RestoreFailed
from workers.upkeep.restore import Restored, restore


class Command(BaseCommand):
    help = "Puts a backup into an empty data folder, every hash checked. Nothing may run on the folder."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="move the data that is there aside")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        source: Path = options["file"].absolute()
        try:
            done = restore(source, lambda: acting_scope(options["name"]), options["force"])
        except (AlreadyRunning, FolderInUse, BackupDamaged, BackupTooNew, RestoreFailed) as error:
            raise CommandError(str(error)) from error
        except Problem as problem:
            raise CommandError(_("Only a site administrator may do this: say --as NAME.")) from problem
        for line in _told(done):
            self.stdout.write(line)


def _told(done: Restored) -> list[str]:
    lines = [
        _("The backup of %(time)s is in place: the database and %(blobs)s originals. All sign in again.")
        % {"time": done.made_at, "blobs": done.blobs}
    ]
    if lost := len(done.missing) + len(done.damaged):
        lines.append(_("%(n)s originals were missing or damaged when it was made.") % {"n": lost})
    if not done.keys:
        lines.append(
            _("The keys were not beside it: this installation goes on with its own, nothing is lost.")
        )
    if done.aside:
        lines.append(
            _("What was there before lies in the data folder under %(name)s.") % {"name": done.aside}
        )
    lines.append(
        _(
            "Start `make up`: %(n)s documents are then indexed again, which takes a while. They can be read "
            "meanwhile, and are found as they are done."
        )
        % {"n": done.reindexing}
    )
    return lines
