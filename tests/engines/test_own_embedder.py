"""An administrator's own embedder: what it says of itself is believed, what could run code is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from sentence_transformers import SentenceTransformer

from tests.engines.made_embedder import make_embedder
from workers.engines import own_models
from workers.engines.catalogue import Kind, Model
from workers.engines.embed import PassageEmbedder, QuestionEmbedder
from workers.engines.embedder_trial import Tried, try_embedder
from workers.engines.errors import ModelUnusable, NotAModel

ROOT = Path(__file__).parents[2]
PROMPTS = {"query": "query: ", "passage": "passage: "}
TEXT = "Two nurses sign each dose."


@pytest.fixture(scope="module")
def own(embedder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As multilingual-e5 is: prompts, and texts of its own length."""
    folder = tmp_path_factory.mktemp("own") / "own"
    return make_embedder(folder, embedder_folder, dimension=48, longest=128, prompts=PROMPTS)


@pytest.fixture
def copy(own: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(own, tmp_path / "own"))


def describe(folder: Path) -> Model:
    return own_models.describe(folder, name="own", family="bert", licence="ours", context=8192)


def test_dimension_length_and_prompts_are_read_from_the_folder(own: Path) -> None:
    assert try_embedder(own) == Tried(48, 128, "query: ", "passage: ")
    entry = describe(own)
    assert (entry.kind, entry.dimension, entry.context) == (Kind.EMBEDDER, 48, 128)


def test_questions_and_passages_get_their_own_prompts(own: Path) -> None:
    bare = SentenceTransformer(str(own), local_files_only=True)
    for embedder, prompt in ((QuestionEmbedder(own), "query: "), (PassageEmbedder(own), "passage: ")):
        expected = bare.encode(prompt + TEXT, normalize_embeddings=True)
        assert numpy.abs(numpy.array(embedder.encode([TEXT])[0]) - expected).max() < 1e-5
    question = numpy.array(QuestionEmbedder(own).encode([TEXT]))
    assert numpy.abs(question - PassageEmbedder(own).encode([TEXT])).max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("normalised", [True, False])
def test_pooling_is_the_folders_and_vectors_have_length_one(
    pooling: str, normalised: bool, embedder_folder: Path, tmp_path: Path
) -> None:
    made = make_embedder(tmp_path / "made", embedder_folder, pooling=pooling, normalised=normalised)
    expected = SentenceTransformer(str(made), local_files_only=True).encode(TEXT, normalize_embeddings=True)
    found = PassageEmbedder(made).encode([TEXT])[0]
    assert numpy.abs(found - expected).max() < 1e-5
    assert numpy.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_weights_as_pickles_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(NotAModel, match="not there as safetensors"):
        describe(copy)
    with pytest.raises(ModelUnusable, match="not there as safetensors"):
        PassageEmbedder(copy)


def test_code_in_the_folder_is_never_run(copy: Path, tmp_path: Path) -> None:
    """A module of the folder's own, as sentence-transformers would load one that is trusted."""
    mark = tmp_path / "ran"
    (copy / "own_module.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Own:\n    pass\n")
    modules = json.loads((copy / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "", "type": "own_module.Own"})
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(NotAModel, match="none is ever run"):
        describe(copy)
    with pytest.raises(ModelUnusable):
        PassageEmbedder(copy)
    assert not mark.exists()


def test_a_model_that_exists_only_as_code_of_its_own_is_refused(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    (copy / "modeling.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Own:\n    pass\n")
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "modeling.Own", "AutoModel": "modeling.Own"}}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(NotAModel, match="none is ever run"):
        describe(copy)
    assert not mark.exists()


@pytest.mark.parametrize("modules", ["", "{}", "[]", "[3]", '[{"type": "os.system", "path": ""}]'])
def test_a_folder_that_is_no_embedder_is_refused(modules: str, copy: Path) -> None:
    (copy / "modules.json").write_text(modules)
    with pytest.raises(NotAModel):
        describe(copy)


def test_a_module_outside_of_the_folder_is_refused(copy: Path) -> None:
    modules = json.loads((copy / "modules.json").read_text())
    modules[0]["path"] = ".."
    (copy / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(NotAModel, match="outside of it"):
        describe(copy)


def test_damaged_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(NotAModel, match="cannot be loaded"):
        describe(copy)


def test_the_command_takes_weights_and_settings_and_leaves_the_rest(copy: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "onnx/model.onnx", "helper.py", ".git/config"):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_bytes(b"other")
    models = tmp_path / "models"
    environment = os.environ | {"MUNIMENT_DATA": str(tmp_path / "data"), "MUNIMENT_MODELS": str(models)}
    command = [sys.executable, str(ROOT / "manage.py"), "models", "add", str(copy), "--name", "own"]
    command += ["--licence", "ours"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    taken = {path.relative_to(models / "own").as_posix() for path in (models / "own").rglob("*")}
    assert {"model.safetensors", "modules.json", "1_Pooling/config.json"} <= taken
    assert not taken & {"pytorch_model.bin", "onnx/model.onnx", "helper.py", ".git/config"}
    assert "dimension = 48" in (models / "models.toml").read_text()
