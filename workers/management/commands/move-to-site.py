"""`manage.py move-to-site FOLDER`"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from muniment.audit.errors import AuditUnavailable
from muniment.pages.errors import Problem
from workers.acting import acting_scope, add_as
from workers.upkeep.errors import MoveFailed
from workers.upkeep.moving import Moved, move


class Command(BaseCommand):
    help = (
        "Brings the installation of one machine, from its data FOLDER, to this empty site: everybody, every "
        "document, conversation and event, compared row by row. FOLDER is only read; nothing may run on it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="FOLDER")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = move(options["folder"].absolute(), options["name"], acting_scope, self._tell)
        except (MoveFailed, AuditUnavailable) as error:
            raise CommandError(str(error)) from error
        except Problem as problem:
            raise CommandError(
                _("Only a site administrator of the old installation may do this: say --as NAME.")
            ) from problem
        for line in _told(done):
            self.stdout.write(line)

    def _tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _told(done: Moved) -> list[str]:
    contents = sorted(done.contents, key=lambda content: content.table)
    lines = [f"  {content.table:28} {content.rows:9}  {content.sha256[:16]}" for content in contents]
    words = {"originals": done.originals, "size": filesizeformat(done.bytes), "copied": done.copied}
    lines = [_("Moved. Rows of each table and the beginning of their hash, the same on both sides:"), *lines]
    lines.append(
        _("Originals: %(originals)s, %(size)s, each as its hash says; %(copied)s of them came now.") % words
    )
    lines.append(_("SHA-256 of everything, also in the trail: %(sha256)s") % {"sha256": done.sha256})
    if done.unfinished:
        lines.append(
            _("%(n)s uploads were on their way: whoever sent them sends them again.") % {"n": done.unfinished}
        )
    lines.append(
        _("All sign in again, with the passwords they have. The site goes on with its own secret key.")
    )
    if done.signed:
        lines.append(
            _(
                "The site signs reports with a key of its own: keep site.pub of the old folder "
                "for the older ones."
            )
        )
    lines.append(
        _(
            "Start the site: %(n)s documents are then indexed again. They can be read meanwhile, and are "
            "found as they are done. Keep the old folder, unused, until you have seen that all is well."
        )
        % {"n": done.reindexing}
    )
    return lines
