"""The engine as a real process on a unix socket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
CONTEXT = 2048


ENGINE = "workers.engines.engine_server"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "platform")])}


def engine_command(*arguments: object, module: str = ENGINE) -> list[str]:
    return [sys.executable, "-m", module, *map(str, arguments)]


def says(text: str) -> list[dict[str, str]]:
    """A conversation of one message."""
    return [{"role": "user", "content": text}]


def long_text(tokens: int) -> str:
    """About so many tokens of English."""
    return " ".join(f"On day {n} the ward keeps a record of each dose." for n in range(tokens // 13))


@dataclass
class EngineProcess:
    """The engine (or the `module` that wraps it) with the arguments `parts`, listening on `uds`."""

    uds: Path
    parts: Sequence[object]
    process: subprocess.Popen[bytes] | None = field(default=None)
    module: str = ENGINE

    @property
    def url(self) -> str:
        return f"unix:{self.uds}"

    def http(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.uds))
        return httpx.Client(transport=transport, base_url="http://engine", timeout=60)

    def start(self) -> EngineProcess:
        command = engine_command("--uds", self.uds, *self.parts, module=self.module)
        self.process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT)
        until = time.monotonic() + 120
        with self.http() as http:
            while time.monotonic() < until:
                assert self.process.poll() is None, "the engine ended before it was ready"
                try:
                    if http.get("/health").json() == {"status": "ready"}:
                        return self
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
        raise AssertionError("the engine was not ready within two minutes")

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(timeout=10)

    def ask(self, text: str, tenant: str = "", **body: Any) -> dict[str, Any]:
        """The plain reply to one message, greedy and short unless `body` says otherwise."""
        wanted = {"messages": says(text), "temperature": 0, "max_tokens": 8} | body
        with self.http() as http:
            reply = http.post("/v1/chat/completions", json=wanted, headers={"X-Tenant": tenant})
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def refusal(self, path: str, body: object) -> tuple[int, Mapping[str, Any]]:
        """Status and error of a request that must be refused."""
        with self.http() as http:
            reply = http.post(path, content=body if isinstance(body, bytes) else json.dumps(body))
        return reply.status_code, reply.json()["error"]

    def lines(self, text: str, **body: Any) -> Iterator[str]:
        """The lines of a streamed answer that say something."""
        wanted = {"messages": says(text), "temperature": 0, "max_tokens": 8, "stream": True} | body
        with self.http() as http, http.stream("POST", "/v1/chat/completions", json=wanted) as reply:
            yield from (line for line in reply.iter_lines() if line)
