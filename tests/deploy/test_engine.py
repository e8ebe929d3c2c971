"""The engine of a site, started as its container does: one part alone, on the network."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.running import SMALL_MODEL, free_port
from tests.supervisor.conftest import eventually

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its address and the folder where its supervisor writes how it is."""
    port = free_port()
    run = tmp_path / "run"
    run.mkdir(mode=0o700)  # in a container a file system in memory, mounted so
    told = {
        "MUNIMENT_DATA": str(run / "data"),
        "MUNIMENT_RUN": str(run),
        "MUNIMENT_ENGINE_LISTEN": f"0.0.0.0:{port}",
        "MUNIMENT_MODEL": SMALL_MODEL,
        "MUNIMENT_CONTEXT": "512",
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "up", "engine"], env={**os.environ, **told}
    )
    yield f"http://127.0.0.1:{port}", run
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0


def _is_well(run: Path) -> bool:
    healthy = [sys.executable, "-I", "-S", str(ROOT / "deploy" / "image" / "healthy.py")]
    asked = subprocess.run(healthy, env={"MUNIMENT_RUN": str(run)}, capture_output=True, check=False)
    return asked.returncode == 0


def test_it_serves_questions_over_the_network(engine: tuple[str, Path]) -> None:
    url, run = engine
    eventually(lambda: _is_well(run), seconds=90)
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        assert client.get("/props").json()["model"] == SMALL_MODEL
        vectors = client.post("/v1/embeddings", json={"input": ["Who may see this?"]}).json()["data"]
    assert len(vectors[0]["embedding"]) == 384
    assert not list(run.glob("*.sock"))
