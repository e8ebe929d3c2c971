"""A site's proxy for tests: the real server with the very file of its image."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.running import free_ports

CADDY = Path(sys.executable).parent / "caddy"
CADDYFILE = Path(__file__).resolve().parents[1] / "deploy" / "proxy" / "Caddyfile"


@dataclass(frozen=True)
class Proxy:
    """`folder` is where it keeps its authority and writes its log; the others are ports."""

    folder: Path
    https: int
    http: int
    health: int
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def trusted(self) -> ssl.SSLContext:
        """What a browser trusts that was given the root of the site's authority."""
        return ssl.create_default_context(cafile=str(self.folder / "caddy/pki/authorities/local/root.crt"))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)

    @classmethod
    def start(cls, folder: Path, web: tuple[str, int], settings: Mapping[str, str]) -> Self:
        """Before the web part at `web`, with the settings that the compose file gives it."""
        https, http, health = free_ports(3)
        environment = {
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            **settings,
            "HTTPS_PORT": str(https),
            "HTTP_PORT": str(http),
            "HEALTH_PORT": str(health),
            "WEB_HOST": web[0],
            "WEB_PORT": str(web[1]),
        }
        with (folder / "log").open("wb") as output:
            process = subprocess.Popen(
                [str(CADDY), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
                env=environment,
                stdout=output,
                stderr=output,
            )
        return cls(folder, https, http, health, process)
