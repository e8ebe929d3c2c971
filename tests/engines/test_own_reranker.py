"""An administrator's own cross-encoder: it gives the bare model's order, and nothing in its folder is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sentence_transformers import CrossEncoder

from tests.engines.engine_process import EngineProcess
from tests.engines.made_reranker import make_reranker
from workers.engines import EngineUnavailable, own_models
from workers.engines.catalogue import Kind, Model
from workers.engines.engine import OpenAIEngine
from workers.engines.errors import ModelUnusable, NotAModel
from workers.engines.rerank import Reranker

ROOT = Path(__file__).parents[2]
QUESTION = "Who signs each dose?"
PASSAGES = [
    "Two nurses sign each dose.",
    "Doors close at ten. " * 60,
    "The pump of house 7 is dry.",
    "Every incident is reported within 24 hours.",
    "漢字 und Ärger",
    "Who is ill calls the office before eight.",
    "Two nurses sign each dose in the night.",
]


@pytest.fixture(scope="module")
def own(embedder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_reranker(tmp_path_factory.mktemp("own") / "own", embedder_folder)


@pytest.fixture(scope="module")
def bare(own: Path) -> list[int]:
    """The order that the library itself gives: the first, the second, and so on."""
    ranked = CrossEncoder(str(own), local_files_only=True).rank(QUESTION, PASSAGES)
    return [int(one["corpus_id"]) for one in ranked]


@pytest.fixture
def copy(own: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(own, tmp_path / "own"))


def describe(folder: Path) -> Model:
    return own_models.describe(
        folder, name="own", family="bert", licence="ours", context=8192, role=Kind.RERANKER
    )


def order(scores: list[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda at: -scores[at])


def test_the_order_is_the_bare_models(own: Path, bare: list[int]) -> None:
    reranker = Reranker(own)
    assert order(reranker.scores(QUESTION, PASSAGES)) == bare != list(range(len(PASSAGES)))
    assert reranker.scores(QUESTION, []) == []
    assert reranker.passage_ms > 0


def test_what_it_reads_is_its_own_to_say(own: Path) -> None:
    entry = describe(own)
    assert (entry.kind, entry.context, entry.dimension) == (Kind.RERANKER, 256, 0)
    assert entry.place.name == "own"


def test_weights_as_pickles_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(NotAModel, match="not there as safetensors"):
        describe(copy)
    with pytest.raises(ModelUnusable, match="not there as safetensors"):
        Reranker(copy)


def change(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_code_in_the_folder_is_never_run(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (copy / "modeling.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    change(copy, auto_map={"AutoModelForSequenceClassification": "modeling.Own"})
    with pytest.raises(NotAModel, match="none is ever run"):
        describe(copy)
    with pytest.raises(ModelUnusable):
        Reranker(copy)
    assert not mark.exists()


def test_modules_of_its_own_are_refused(copy: Path) -> None:
    (copy / "modules.json").write_text('[{"idx": 0, "name": "0", "path": "", "type": "own_module.Own"}]')
    with pytest.raises(NotAModel, match="none is ever run"):
        describe(copy)


@pytest.mark.parametrize("named", ["torch.seed", "torch.nn.modules.activation.Sigmoid"])
def test_the_last_function_is_never_looked_up_by_its_name(copy: Path, named: str, bare: list[int]) -> None:
    change(copy, sentence_transformers={"activation_fn": named})
    assert order(Reranker(copy).scores(QUESTION, PASSAGES)) == bare


def test_a_model_that_sorts_into_classes_is_refused(embedder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="one label"):
        describe(make_reranker(tmp_path / "classes", embedder_folder, labels=3))


def test_an_embedder_is_no_cross_encoder(embedder_folder: Path) -> None:
    with pytest.raises(NotAModel, match="no cross-encoder"):
        describe(embedder_folder)


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"architectures": 3}'])
def test_a_folder_that_is_no_model_is_refused(config: str, copy: Path) -> None:
    (copy / "config.json").write_text(config)
    with pytest.raises(NotAModel):
        describe(copy)


def test_damaged_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(NotAModel, match="cannot be loaded"):
        describe(copy)


def test_the_command_adds_it_in_its_role(copy: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    environment = os.environ | {"MUNIMENT_DATA": str(tmp_path / "data"), "MUNIMENT_MODELS": str(models)}
    command = [sys.executable, str(ROOT / "manage.py"), "models", "add", str(copy), "--name", "own"]
    command += ["--licence", "ours", "--role", "reranker"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (models / "own" / "model.safetensors").is_file()
    assert 'kind = "reranker"' in (models / "models.toml").read_text()


@pytest.fixture(scope="module")
def parts(embedder_folder: Path) -> list[object]:
    embedder = ["--embedder", embedder_folder, "--embedder-name", "mini", "--embedder-sha256", "b" * 64]
    return ["--no-model", *embedder]


@pytest.fixture(scope="module")
def engine(
    own: Path, parts: list[object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenAIEngine]:
    named = ["--reranker", own, "--reranker-name", "own", "--reranker-sha256", "c" * 64]
    server = EngineProcess(tmp_path_factory.mktemp("engine") / "engine.sock", [*parts, *named]).start()
    client = OpenAIEngine(server.url)
    yield client
    client.close()
    server.stop()


def test_the_process_gives_the_bare_models_order(engine: OpenAIEngine, bare: list[int]) -> None:
    assert order(engine.rerank(QUESTION, PASSAGES)) == bare
    assert engine.rerank(QUESTION, []) == []


def test_it_says_what_it_has_and_how_quick_it_is(engine: OpenAIEngine) -> None:
    facts = engine.facts()
    assert (facts.reranker, facts.reranker_sha256) == ("own", "c" * 64)
    assert facts.rerank_ms > 0


def test_more_than_a_search_ever_asks_for_is_refused(engine: OpenAIEngine) -> None:
    with pytest.raises(EngineUnavailable, match="status 400"):
        engine.rerank(QUESTION, ["a"] * 65)


def test_without_one_it_says_so(parts: list[object], tmp_path: Path) -> None:
    server = EngineProcess(tmp_path / "engine.sock", parts).start()
    client = OpenAIEngine(server.url)
    assert client.facts().reranker == "" and client.facts().rerank_ms == 0
    with pytest.raises(EngineUnavailable, match="status 404"):
        client.rerank(QUESTION, PASSAGES)
    client.close()
    server.stop()
