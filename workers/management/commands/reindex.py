"""`manage.py reindex [--library L]`"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from muniment.scope import Role
from workers.acting import acting_scope, add_as, library_named
from workers.upkeep.reindex import enqueue, enqueue_everything


class Command(BaseCommand):
    help = "Makes the passage index again from the database; documents stay readable meanwhile."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--library", metavar="L", help="only this one: its slug, or TENANT/SLUG")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ordered = self._order(options)
        except DatabaseError as error:
            raise CommandError(_("The database cannot be read: `manage.py doctor` tells why.")) from error
        self.stdout.write(
            _("%(n)s documents are indexed again, beginning within seconds while `make up` runs.")
            % {"n": ordered}
        )

    @staticmethod
    def _order(options: dict[str, Any]) -> int:
        scope = acting_scope(options["name"])
        if options["library"]:
            return enqueue(scope, library_named(scope, options["library"]).id)
        if Role.SITE_ADMIN in scope.roles:
            return enqueue_everything()
        raise CommandError(_("Only a site administrator may do this for everybody: say --library or --as."))
