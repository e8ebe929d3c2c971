"""An administrator's own language model: its header is read first, and it comes in one file or in parts."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.made_gguf import SETTINGS, TENSORS, gguf
from workers.engines import carriers, catalogue, own_models
from workers.engines.catalogue import Kind, Model
from workers.engines.errors import CarrierFailed, ModelDamaged, ModelUnusable, NotAModel
from workers.engines.gguf_parts import read_model
from workers.engines.gguf_trial import try_model
from workers.engines.llama import ContextOptions, LanguageModel

ROOT = Path(__file__).parents[2]
NAMES = [f"Tiny-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]


@pytest.fixture(autouse=True)
def models_dir(settings: Any, tmp_path: Path) -> Path:
    settings.MODELS_DIR = tmp_path / "models"
    return tmp_path / "models"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "ours.gguf"
    path.write_bytes(gguf())
    return path


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """A model in three files as llama.cpp splits one: only the first has settings."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for at, (name, tensor) in enumerate(zip(NAMES, TENSORS, strict=True)):
        split = {"split.no": at, "split.count": 3, "split.tensors.count": 3}
        settings = (SETTINGS if at == 0 else {}) | split
        (folder / name).write_bytes(gguf(settings, {tensor: TENSORS[tensor]}))
    return [folder / name for name in NAMES]


def describe(source: Path, **changes: Any) -> Model:
    return own_models.describe(source, **{"name": "ours", "licence": "Ours é", **changes})


def added(source: Path) -> Model:
    entry = describe(source)
    own_models.enter(entry)
    carriers.add(source, entry)
    return catalogue.model("ours")


def test_it_is_described_entered_and_installed(own: Path) -> None:
    assert carriers.recognise(own) is None
    entry = added(own)
    assert catalogue.path_of("ours").read_bytes() == own.read_bytes()
    assert (entry.kind, entry.licence, entry.title) == (Kind.LANGUAGE, "Ours é", "Tiny, F32")
    assert carriers.recognise(own) == entry


def test_family_and_context_are_the_files_to_say(own: Path) -> None:
    entry = describe(own)
    assert (entry.family, entry.context) == ("llama", 128)
    entry = describe(own, family="tiny", context=64)
    assert (entry.family, entry.context) == ("tiny", 64)


@pytest.mark.parametrize("name", ["../evil", "Big", "", "a b", "tiny-00001-of-00002"])
def test_it_needs_a_plain_name(own: Path, name: str) -> None:
    with pytest.raises(NotAModel):
        describe(own, name=name)


def test_a_files_own_name_cannot_break_the_list(own: Path) -> None:
    own.write_bytes(gguf(SETTINGS | {"general.name": 'a"\x7f\n[[model]]' + "x" * 500}))
    assert added(own).title == f'a"[[model]]{"x" * 69}, F32'


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"general.type": "adapter"}, "no whole model", id="an adapter"),
        pytest.param({"general.architecture": ""}, "which family", id="no family"),
        pytest.param({"general.architecture": "../llama"}, "which family", id="no name of a family"),
        pytest.param({"tokenizer.chat_template": ""}, "no chat template", id="a base model"),
        pytest.param({"llama.block_count": 0}, "lacks sizes or weights", id="no layers"),
        pytest.param({"llama.block_count": 10**6}, "lacks sizes or weights", id="a million layers"),
        pytest.param({"tokenizer.ggml.tokens": []}, "lacks sizes or weights", id="no words"),
        pytest.param({"split.no": 1, "split.count": 2}, "a part of a model of 2", id="a part alone"),
        pytest.param({"tokenizer.chat_template": "{{ 9 ** (9 ** 9) }}"}, "more than 5 seconds", id="a bomb"),
        pytest.param({"tokenizer.chat_template": "{% for %}"}, "does not take", id="no template"),
        pytest.param({"tokenizer.chat_template": "Hello"}, "leaves the question out", id="a deaf one"),
    ],
)
def test_what_is_no_language_model_is_refused(own: Path, changes: dict[str, Any], words: str) -> None:
    own.write_bytes(gguf(SETTINGS | changes))
    with pytest.raises(NotAModel, match=words):
        describe(own)


def test_another_format_is_refused_with_a_sentence(own: Path) -> None:
    own.write_bytes(pickle.dumps({"weight": [1.0]}))
    with pytest.raises(NotAModel, match=r"Python pickle: opening one can run code\. Take"):
        describe(own)


def test_a_reader_that_breaks_down_is_a_sentence_too(own: Path) -> None:
    with pytest.raises(NotAModel, match="not open to this account"):
        try_model([own.with_name("gone.gguf")])


@pytest.mark.parametrize("given", ["folder", "first", "third"])
def test_a_model_in_parts_is_taken_together(parts: list[Path], models_dir: Path, given: str) -> None:
    source = {"folder": parts[0].parent, "first": parts[0], "third": parts[2]}[given]
    assert carriers.recognise(source) is None
    entry = added(source)
    assert [file.path for file in entry.files] == [f"ours-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    assert catalogue.path_of("ours") == models_dir / "ours-00001-of-00003.gguf"
    kept = [models_dir / file.path for file in entry.files]
    assert [path.read_bytes() for path in kept] == [part.read_bytes() for part in parts]
    assert len(read_model(kept[0]).tensors) == 3
    assert carriers.recognise(source) == entry


def test_each_part_has_a_hash(parts: list[Path], models_dir: Path) -> None:
    entry = added(parts[0])
    assert entry.sha256 not in {file.sha256 for file in entry.files}
    last = models_dir / entry.files[2].path
    last.write_bytes(last.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelDamaged, match=last.name):
        catalogue.path_of("ours")
    last.unlink()
    with pytest.raises(ModelDamaged, match="not complete"):
        catalogue.path_of("ours")


def test_a_missing_part_is_named(parts: list[Path]) -> None:
    parts[1].unlink()
    for source in (parts[0], parts[0].parent):
        with pytest.raises(NotAModel, match=r"1 of 3 parts of the model are missing \(Tiny-00002-of-00003"):
            describe(source)


def test_parts_of_two_models_are_no_model(parts: list[Path]) -> None:
    parts[2].write_bytes(parts[1].read_bytes())
    with pytest.raises(NotAModel, match="is a part of a model of 3"):
        describe(parts[0])
    split = {"split.no": 2, "split.count": 3, "split.tensors.count": 3}
    parts[2].write_bytes(gguf(split, {"one": (32, 2)}))
    with pytest.raises(NotAModel, match="not of one model"):
        describe(parts[0])


def test_a_folder_of_two_models_asks_for_a_name(parts: list[Path]) -> None:
    (parts[0].parent / "other.gguf").write_bytes(gguf())
    with pytest.raises(NotAModel, match="name the file"):
        describe(parts[0].parent)


def test_a_folder_with_another_model_is_not_copied_from(own: Path, parts: list[Path]) -> None:
    entry = added(own)
    catalogue.path_of("ours").unlink()
    with pytest.raises(CarrierFailed, match="is not there"):
        carriers.fetch(entry, ["folder"], parts[0].parent)


def test_the_engine_loads_nothing_that_it_would_not_take(own: Path) -> None:
    """llama.cpp is not asked: its own sentence would be another one."""
    own.write_bytes(gguf(SETTINGS | {"general.type": "adapter"}))
    with pytest.raises(ModelUnusable, match="no whole model"):
        LanguageModel(own, ContextOptions(64, threads=1))


def test_the_command_asks_for_name_and_licence_alone(own: Path, tmp_path: Path) -> None:
    models = tmp_path / "elsewhere"
    environment = os.environ | {"MUNIMENT_DATA": str(tmp_path / "data"), "MUNIMENT_MODELS": str(models)}
    command = [sys.executable, str(ROOT / "manage.py"), "models"]
    add = [*command, "add", str(own), "--name", "own", "--licence", "ours"]
    done = subprocess.run(add, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([*command, "list", "--json"], env=environment, capture_output=True, text=True)
    row = next(row for row in json.loads(listed.stdout) if row["name"] == "own")
    assert (row["family"], row["context"], row["state"]) == ("llama", 128, "there")
    own.write_bytes(b"<html>")
    add[add.index("own")] = "page"
    done = subprocess.run(add, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "not a GGUF file" in done.stderr
