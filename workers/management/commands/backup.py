"""`manage.py backup FILE [--force]`"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from muniment.audit.errors import AuditUnavailable
from muniment.pages.errors import Problem
from workers.acting import acting_scope, add_as
from workers.upkeep import backup
from workers.upkeep.errors import BackupExists, BackupFailed


class Command(BaseCommand):
    help = "Writes database and originals to FILE and keys to FILE.keys, while people work."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="write over an older backup of this name")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        target: Path = options["file"].absolute()
        try:
            made = backup.make(acting_scope(options["name"]), target, options["force"])
        except (BackupExists, BackupFailed, AuditUnavailable) as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(_("The database cannot be read: `manage.py doctor` tells why.")) from error
        except Problem as problem:
            raise CommandError(_("Only a site administrator may do this: say --as NAME.")) from problem
        words = {"blobs": made.blobs, "size": filesizeformat(made.bytes), "sha256": made.sha256}
        self.stdout.write(
            _("The backup is made: the database and %(blobs)s originals, %(size)s. SHA-256 %(sha256)s")
            % words
        )
        if made.keys:
            self.stdout.write(_("The key lies apart, in the file .keys beside it: keep it in another place."))
        else:
            self.stdout.write(_("The key comes from the environment and is not in it: keep it by yourself."))
        if lost := [*made.missing, *made.damaged]:
            self.stderr.write(
                _("%(n)s originals were missing or damaged already, such as %(first)s: see the manifest.")
                % {"n": len(lost), "first": lost[0]}
            )
