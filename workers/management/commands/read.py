"""`manage.py read FILE... --out FOLDER`"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from muniment.documents.messages import warning
from workers.ingest.errors import ReadError, ReaderUnavailable
from workers.ingest.sandbox import read_in_child


class Command(BaseCommand):
    help = (
        "Write the text that is read from files, each into FOLDER/NAME.txt, or into FOLDER/NAME.error why it "
        "cannot be read; NAME is the file's whole name. Needs nothing running. "
        "Exit code 0 when every file was read, else 1."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument(
            "--out", required=True, type=Path, metavar="FOLDER", help="made if it is not there"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        files: list[Path] = options["files"]
        for path in files:
            if not path.is_file():
                raise CommandError(f"There is no file {path}.")
        twice = [name for name, times in Counter(path.name for path in files).items() if times > 1]
        if twice:
            raise CommandError(f"Several files are called {twice[0]}: read them into a folder each.")
        folder: Path = options["out"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            read = [self._read(path, folder) for path in files]
        except OSError as error:
            raise CommandError(f"The folder {folder} cannot be written: {error.strerror}.") from error
        except ReaderUnavailable as error:
            raise CommandError("The reader process could not be started: try again later.") from error
        if not all(read):
            sys.exit(1)

    def _read(self, path: Path, folder: Path) -> bool:
        text, error = (folder / f"{path.name}{ending}" for ending in (".txt", ".error"))
        # What an earlier run said of this file no longer holds.
        for old in (text, error):
            old.unlink(missing_ok=True)
        try:
            document = read_in_child(path, path.name)
        except ReadError as problem:
            error.write_text(f"{problem.code}: {problem}\n", encoding="utf-8")
            self.stdout.write(f"{problem.code:16} {path.name}")
            return False
        text.write_text(document.text + "\n", encoding="utf-8")
        warnings = " ".join(warning(code) for code in document.warnings)
        self.stdout.write(f"{'read':16} {path.name}  {warnings}".rstrip())
        return True
