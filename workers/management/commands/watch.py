"""`manage.py watch list | add FOLDER --library L | remove FOLDER | look | report`"""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from muniment.folders import messages, queries, services
from muniment.folders.models import Folder
from muniment.folders.roots import roots
from muniment.pages.errors import Problem
from muniment.scope import Scope
from muniment.tenancy.models import LABELS
from muniment.tenancy.queries import all_libraries
from workers.acting import acting_scope, add_as
from workers.upkeep.watching import look

NAMES = {str(words): label for label, words in LABELS}


class Command(BaseCommand):
    help = "Folders whose files a library follows: list, map, unmap, look now, tell what could not be read."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_as(parser)
        parts = parser.add_subparsers(dest="what", required=True)
        parts.add_parser("list", help="the mapped folders")
        add = parts.add_parser("add", help="map a folder to a library")
        add.add_argument("folder", metavar="FOLDER")
        add.add_argument("--library", required=True, metavar="L", help="slug of the library")
        add.add_argument("--label", choices=NAMES, help="of new documents (default: the library's)")
        remove = parts.add_parser("remove", help="unmap a folder; its documents stay")
        look = parts.add_parser("look", help="have the libraries follow the folders now")
        report = parts.add_parser("report", help="the files that could not be read, and why")
        remove.add_argument("folder", metavar="FOLDER")
        for part in (look, report):
            part.add_argument("folder", nargs="?", metavar="FOLDER", help="only this one")

    def handle(self, *args: Any, **options: Any) -> None:
        scope = acting_scope(options["name"])
        try:
            getattr(self, f"_{options['what']}")(scope, options)
        except Problem as problem:
            raise CommandError(str(problem.detail)) from problem

    def _list(self, scope: Scope, options: dict[str, Any]) -> None:
        found = list(queries.folders(scope))
        wrong = queries.trouble_counts(scope, found)
        for folder in found:
            facts = f"{folder.files} files, {folder.waiting} waiting, {wrong.get(folder.id, 0)} not read"
            self.stdout.write(
                f"{folder.get_state_display():9} {folder.path} -> {folder.library.slug}  {facts}"
            )
            if folder.trouble:
                self.stdout.write(f"          {messages.of_folder(folder.trouble)}")
        if not found:
            self.stdout.write("No folder is mapped.")
        if not roots(scope):
            self.stdout.write("Name the folders below which one may be mapped in MUNIMENT_WATCH_ROOTS.")

    def _add(self, scope: Scope, options: dict[str, Any]) -> None:
        library = all_libraries(scope).filter(slug=options["library"]).first()
        if library is None:
            raise CommandError(f"There is no library {options['library']}.")
        label = NAMES[options["label"]] if options["label"] else library.label
        folder = services.map_folder(scope, library.id, _absolute(options["folder"]), label)
        self.stdout.write(f"{folder.path} is mapped to {library.slug}. The next look is within a minute.")

    def _remove(self, scope: Scope, options: dict[str, Any]) -> None:
        for folder in self._chosen(scope, options):
            services.unmap(scope, folder.id)
            self.stdout.write(
                f"{folder.path} is followed no more in {folder.library.slug}. Its documents stay."
            )

    def _look(self, scope: Scope, options: dict[str, Any]) -> None:
        for folder in self._chosen(scope, options):
            look(scope, folder)
        self._list(scope, options)

    def _report(self, scope: Scope, options: dict[str, Any]) -> None:
        for folder in self._chosen(scope, options):
            for path, why in queries.troubled(scope, folder):
                self.stdout.write(f"{folder.path}/{path}: {messages.of_file(why).text}")

    def _chosen(self, scope: Scope, options: dict[str, Any]) -> Iterator[Folder]:
        given = options.get("folder")
        found = queries.folders(scope)
        chosen = list(found.filter(path=_absolute(given)) if given else found)
        if given and not chosen:
            raise CommandError(f"{given} is not mapped.")
        return iter(chosen)


def _absolute(given: str) -> str:
    """As it is mapped: links in it are for those to see who open it."""
    return os.path.normpath(Path.cwd() / given)
