"""`manage.py up`: everything under one supervisor, or one part of it."""

from __future__ import annotations

import contextlib
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from workers import guard, preflight, processes
from workers.engines.errors import ModelDamaged, ModelMissing
from workers.guard import AlreadyRunning, CannotServe
from workers.preflight import DatabaseAway
from workers.processes import UnknownPart
from workers.supervisor import Supervisor


class Command(BaseCommand):
    help = "Starts Muniment and keeps it running until Ctrl-C; with a NAME only that part, as in a container."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="one part: web, index, engine, ...")

    def handle(self, *args: Any, name: str | None = None, **options: Any) -> None:
        run_dir, data = Path(settings.RUN_DIR), Path(settings.DATA_DIR)
        try:
            guard.prepare_run_dir(run_dir)
            preflight.check_folder()
            # Several machines may share the data folder when each runs single parts.
            lock = guard.hold(run_dir / f"{name}.lock" if name else data / "lock")
            parts = processes.table(name)
            if any(part.name == "web" for part in parts):
                guard.check_port(settings.HOST, settings.PORT)
            if any(part.name == "index" for part in parts):
                guard.check_folder(Path(settings.INDEX_DIR))
            with contextlib.suppress(DatabaseAway):  # its parts wait for it
                for warning in preflight.check(part.name for part in parts):
                    self.stderr.write(self.style.WARNING(warning))
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
