"""`manage.py reindex [--library L] [--no-wait]`"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext as _

from muniment.documents.models import Generation, GenerationState
from muniment.jobs.broker import client
from muniment.scope import Role
from workers.acting import acting_scope, add_as, library_named
from workers.engines.errors import ModelDamaged, ModelMissing
from workers.upkeep.building import progress
from workers.upkeep.reindex import begin_if_needed, enqueue, enqueue_everything

LOOK_SECONDS = 1.0


class Command(BaseCommand):
    help = (
        "Makes the passage index again from the database; documents are found meanwhile. Where settings or "
        "release have changed, another index is built beside the one that answers, and then takes its place."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--library", metavar="L", help="only this one: its slug, or TENANT/SLUG")
        parser.add_argument("--no-wait", action="store_true", help="order another index and do not watch it")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if generation := self._order(options):
                self._tell_of(generation, wait=not options["no_wait"])
        except DatabaseError as error:
            raise CommandError(_("The database cannot be read: `manage.py doctor` tells why.")) from error
        except (ModelMissing, ModelDamaged) as error:
            raise CommandError(str(error)) from error

    def _order(self, options: dict[str, Any]) -> Generation | None:
        scope = acting_scope(options["name"])
        if options["library"]:
            self._ordered(enqueue(scope, library_named(scope, options["library"]).id))
            return None
        if Role.SITE_ADMIN not in scope.roles:
            problem = _("Only a site administrator may do this for everybody: say --library or --as.")
            raise CommandError(problem)
        generation = begin_if_needed(scope)
        if generation is None:
            self._ordered(enqueue_everything())
        return generation

    def _ordered(self, documents: int) -> None:
        self.stdout.write(
            _("%(n)s documents are indexed again, beginning within seconds while `make up` runs.")
            % {"n": documents}
        )

    def _tell_of(self, generation: Generation, wait: bool) -> None:
        words = {"number": generation.number, "embedder": generation.embedder}
        self.stdout.write(
            _("Index %(number)s is built with %(embedder)s; until then the one before answers.") % words
        )
        if not wait or not _parts_run():
            self.stdout.write(_("It goes on by itself while `make up` runs; the health page shows how far."))
            return
        try:
            self._watch(generation)
        except KeyboardInterrupt:
            self.stdout.write(_("It goes on by itself; the health page shows how far."))

    def _watch(self, generation: Generation) -> None:
        said = None
        while generation.state == GenerationState.BUILDING:
            seen = progress(generation)
            if seen != said:
                self.stdout.write(_("%(built)s of %(documents)s documents") % vars(seen))
                self.stdout.flush()
                said = seen
            if seen.failed and seen.built + seen.failed == seen.documents:
                raise CommandError(
                    _(
                        "%(failed)s documents could not be added, so the index before goes on answering. The "
                        "log of ingest says why; run this again to try them again."
                    )
                    % vars(seen)
                )
            time.sleep(LOOK_SECONDS)
            generation.refresh_from_db()
        if generation.state != GenerationState.SERVING:
            raise CommandError(_("Somebody gave this index up meanwhile."))
        self.stdout.write(_("Index %(number)s answers now.") % {"number": generation.number})


def _parts_run() -> bool:
    try:
        return bool(client().ping())
    except redis.RedisError:
        return False
