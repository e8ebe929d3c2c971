"""The embedded index as a real process, and makers of points for it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import httpx

from workers.engines import Point
from workers.engines.sparse import passage_vector

ROOT = Path(__file__).parents[2]
DIMENSION = 8


def index_command(*arguments: object, module: str = "workers.engines.index_server") -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


@dataclass
class IndexProcess:
    """`workers.engines.index_server` on a socket in `folder`; start it again after a kill."""

    folder: Path
    uds: Path
    process: subprocess.Popen[bytes] | None = field(default=None)
    module: str = "workers.engines.index_server"

    @property
    def url(self) -> str:
        return f"unix:{self.uds}"

    @property
    def http(self) -> httpx.Client:
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.uds)), base_url="http://index", timeout=10
        )

    def start(self) -> IndexProcess:
        command = index_command("--uds", self.uds, "--folder", self.folder, module=self.module)
        self.process = subprocess.Popen(command, cwd=ROOT)
        until = time.monotonic() + 20
        with self.http as http:
            while time.monotonic() < until:
                try:
                    if http.get("/readyz").status_code == 200:
                        return self
                except httpx.TransportError:
                    assert self.process.poll() is None, "the index ended before it was ready"
                    time.sleep(0.02)
        raise AssertionError("the index was not ready within 20 s")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=10)


def direction(axis: int) -> list[float]:
    """A vector of length one along an axis: the same axis means the same, another means something else."""
    return [1.0 if at == axis else 0.0 for at in range(DIMENSION)]


def make_point(
    tenant: UUID,
    text: str = "the lamp",
    axis: int = 0,
    *,
    id: UUID | None = None,
    library: UUID | None = None,
    document: UUID | None = None,
    version: UUID | None = None,
    label: int = 0,
) -> Point:
    return Point(
        id=id or uuid4(),
        dense=direction(axis),
        sparse=passage_vector(text),
        tenant=tenant,
        library=library or uuid4(),
        document=document or uuid4(),
        version=version or uuid4(),
        label=label,
    )
