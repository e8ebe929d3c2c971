"""Embedding with 8-bit integers: nearly the same vectors, or none."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from pytest_django import Settings
from torch import nn

from tests.engines.engine_process import long_text
from workers.engines import connect, embed, int8
from workers.engines.embed import PassageEmbedder
from workers.engines.int8 import Int8Linear, multiplied_directly

TEXTS = ["How long is the record of a dose kept?", "Zürich – 東京", long_text(150), ""]


def linears(embedder: PassageEmbedder, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in embedder._model.modules())


@pytest.fixture(scope="module")
def floats(embedder_folder: Path) -> PassageEmbedder:
    return PassageEmbedder(embedder_folder)


def test_vectors_are_nearly_those_of_floats(floats: PassageEmbedder, embedder_folder: Path) -> None:
    rounded = PassageEmbedder(embedder_folder, int8=True)
    assert linears(rounded, nn.Linear) == 0
    assert linears(rounded, Int8Linear) == linears(floats, nn.Linear) > 30
    cosines = (rounded.encode(TEXTS) * floats.encode(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.97
    assert 0.985 <= rounded.likeness < 1


def test_a_model_that_would_lose_too_much_keeps_its_floats(
    floats: PassageEmbedder, embedder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "LEAST_LIKENESS", 0.9999)
    monkeypatch.setattr(embed, "LEAST_LIKENESS", 0.9999)
    kept = PassageEmbedder(embedder_folder, int8=True)
    assert linears(kept, Int8Linear) == 0
    assert numpy.array_equal(kept.encode(TEXTS), floats.encode(TEXTS))
    assert kept.likeness == 1


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_gives_what_it_gave_but_for_rounding(bias: bool) -> None:
    """A row's largest weight meets nothing, so that no CPU's sums of 16 bits overflow."""
    torch.manual_seed(1)
    linear = nn.Linear(64, 16, bias=bias)
    linear.weight.data[:, 0] = 0.25
    linear.weight.data[3] = 0
    inputs = torch.randn(2, 5, 64)
    inputs[:, :, 0] = 0
    with torch.inference_mode():
        expected, found = linear(inputs), Int8Linear(linear)(inputs)
    assert found.shape == expected.shape == (2, 5, 16)
    assert (found - expected).abs().max() < 0.05
    assert (found - expected)[:, :, 3].abs().max() < 1e-5


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("fpu avx2 fma", False),
        ("fpu avx2 avx512f avx512_vnni", True),
        ("avx_vnni", True),
        ("amx_bf16 amx_int8", True),
        ("avx512_vnni_like", False),
    ],
)
def test_the_cpu_says_whether_it_multiplies_them_directly(tmp_path: Path, flags: str, has: bool) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nmodel name\t: A CPU with avx_vnni in its name\nflags\t\t: {flags}\n")
    assert multiplied_directly(cpuinfo) is has
    assert not multiplied_directly(tmp_path / "missing")


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_the_setting_keeps_floats(
    precision: str, embedder_folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EMBEDDING_PRECISION = precision
    monkeypatch.setattr(int8, "multiplied_directly", lambda: True)
    monkeypatch.setattr("workers.engines.catalogue.exactly", lambda name, sha256: embedder_folder)
    found = connect.passage_embedder.__wrapped__("mini", "0" * 64)
    assert (linears(found, Int8Linear) > 0) is (precision == "auto")
