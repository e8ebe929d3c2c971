"""An installation in folders of its own, used through its commands as an administrator does."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SEED = "import django; django.setup(); from {module} import main; main()"


@dataclass(frozen=True)
class Installation:
    data: Path
    run: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Installation:
        made = cls(folder / "data", folder / "run")
        made.data.mkdir()
        made.run.mkdir(mode=0o700)
        return made

    @property
    def database(self) -> Path:
        return self.data / "muniment.sqlite3"

    @property
    def environment(self) -> dict[str, str]:
        paths = f"{ROOT / 'platform'}{os.pathsep}{ROOT}"
        folders = {"MUNIMENT_DATA": str(self.data), "MUNIMENT_RUN": str(self.run)}
        settings = {**os.environ, **folders, "MUNIMENT_LOG": "ERROR", "PYTHONPATH": paths}
        # Its database is the file, also where the tests themselves run on PostgreSQL.
        settings.pop("MUNIMENT_DATABASE_URL", None)
        return settings

    def manage(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "manage.py"), *map(str, arguments)]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)

    def seed(self, *arguments: object, module: str = "tests.upkeep.seed") -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SEED.format(module=module), *map(str, arguments)]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as database:
            return database.execute(query, values).fetchall()

    def change(self, statement: str, *values: object) -> None:
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute(statement, values)

    def count(self, table: str) -> int:
        return int(self.ask(f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - tables named by tests

    def originals(self) -> dict[str, str]:
        """Hash by path of every stored original."""
        blobs = self.data / "blobs"
        return {
            str(path.relative_to(blobs)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in blobs.rglob("*")
            if path.is_file()
        }

    def everything(self) -> dict[str, bytes]:
        """Every file of the data folder but the lock, which is only ever held."""
        files = (path for path in self.data.rglob("*") if path.is_file() and path.name != "lock")
        return {str(path.relative_to(self.data)): path.read_bytes() for path in files}
