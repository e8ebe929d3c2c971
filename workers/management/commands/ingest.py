"""`manage.py ingest PATH... --library L [--wait]`"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from muniment.documents.messages import message
from muniment.documents.models import IN_WORK, Version, VersionState
from muniment.documents.uploads import upload_whole
from muniment.pages.errors import Problem
from muniment.scope import Scope
from muniment.tenancy.models import Library
from workers.acting import acting_scope, add_as, library_named, require_running

CHUNK = 4 * 1024 * 1024


class Command(BaseCommand):
    help = (
        "Add files, or all files of folders, to a library. "
        "Exit code 0 when every file was accepted (with --wait: published), else 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument(
            "--library", required=True, metavar="L", help="slug of the library, or TENANT/SLUG"
        )
        parser.add_argument(
            "--wait", action="store_true", help="wait until every file is published or failed"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        add_as(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        require_running()
        scope = acting_scope(options["name"])
        library = library_named(scope, options["library"])
        versions, refused = self._add(scope, library, options["paths"])
        if options["wait"]:
            self._wait(list(versions))
        rows = [*self._rows(versions), *refused]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=1))
        else:
            for row in rows:
                self.stdout.write(f"{row['state']:10} {row['name']}  {row['reason']}".rstrip())
        if any(row["state"] in {"refused", VersionState.FAILED} for row in rows):
            sys.exit(1)

    def _add(
        self, scope: Scope, library: Library, paths: list[Path]
    ) -> tuple[dict[UUID, str], list[dict[str, str]]]:
        versions: dict[UUID, str] = {}
        refused = []
        for path in _files(paths):
            try:
                document = upload_whole(scope, library.id, path.name, _chunks(path), path.stat().st_size)
            except Problem as problem:
                refused.append({"name": path.name, "state": "refused", "reason": str(problem.detail)})
                continue
            newest = document.versions.latest("number")
            versions[newest.id] = path.name
        return versions, refused

    def _wait(self, versions: list[UUID]) -> None:
        left = len(versions)
        while left:
            now = Version.objects.filter(pk__in=versions, state__in=IN_WORK).count()
            if now != left:
                self.stderr.write(f"{len(versions) - now} of {len(versions)} done")
            left = now
            if left:
                time.sleep(0.5)

    @staticmethod
    def _rows(versions: dict[UUID, str]) -> list[dict[str, str]]:
        found = Version.objects.in_bulk(list(versions))
        return [
            {
                "name": name,
                "state": str(found[version].state),
                "reason": _reason(found[version].error_code),
            }
            for version, name in versions.items()
        ]


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if file.is_file())
        elif path.is_file():
            yield path
        else:
            raise CommandError(f"There is no file {path}.")


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _reason(code: str) -> str:
    return str(message(code).text) if code else ""
