"""`manage.py up`: everything under one supervisor, or one part of it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection
from django.utils.translation import gettext as _

from muniment.wall import fault_of_role
from workers import guard, processes
from workers.engines.errors import ModelDamaged, ModelMissing
from workers.guard import AlreadyRunning, CannotServe
from workers.processes import UnknownPart
from workers.supervisor import Supervisor

SERVE_PEOPLE = {"web", "ingest", "answer", "upkeep"}


class Command(BaseCommand):
    help = "Starts Muniment and keeps it running until Ctrl-C; with a NAME only that part, as in a container."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="one part: web, index, engine, ...")

    def handle(self, *args: Any, name: str | None = None, **options: Any) -> None:
        run_dir, data = Path(settings.RUN_DIR), Path(settings.DATA_DIR)
        try:
            guard.prepare_run_dir(run_dir)
            # Several machines may share the data folder when each runs single parts.
            lock = guard.hold(run_dir / f"{name}.lock" if name else data / "lock")
            parts = processes.table(name)
            _check_database([part.name for part in parts])
            if any(part.name == "web" for part in parts):
                guard.check_port(settings.HOST, settings.PORT)
            if any(part.name == "index" for part in parts):
                guard.check_folder(Path(settings.INDEX_DIR))
        except (AlreadyRunning, CannotServe, ModelMissing, ModelDamaged, UnknownPart) as problem:
            raise CommandError(str(problem)) from problem
        logs = None if name else data / "logs"
        if logs:
            logs.mkdir(exist_ok=True)
        address = {"host": settings.HOST, "port": settings.PORT}
        ready = _("Muniment is ready at http://%(host)s:%(port)s - Ctrl-C stops it.") % address
        watcher = Supervisor(parts, run_dir, logs, ready="" if name else ready)
        with lock:
            sys.exit(guard.guarded(watcher.run))


def _check_database(names: Iterable[str]) -> None:
    """Raise CannotServe where the database does not answer, or its role may do more than serve people."""
    if not SERVE_PEOPLE & set(names):
        return
    try:
        fault = fault_of_role()
    except OperationalError as problem:
        raise CannotServe(
            "The database does not answer or refuses this role: start it, and see MUNIMENT_DATABASE_URL and "
            "the file with its password."
        ) from problem
    finally:
        connection.close()  # the parts are forked from here
    if fault:
        raise CannotServe(fault)
