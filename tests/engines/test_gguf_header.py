"""The header of a GGUF file is read without trusting a byte of it."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines import made_gguf
from tests.engines.made_gguf import SETTINGS, TEMPLATE, gguf
from workers.engines import gguf_header
from workers.engines.errors import NotAModel
from workers.engines.gguf_header import Header, Tensor, read_header

SMALL = gguf()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def read(file: Path, content: bytes) -> Header:
    file.write_bytes(content)
    return read_header(file)


def refused(file: Path, content: bytes, words: str) -> None:
    with pytest.raises(NotAModel, match=words):
        read(file, content)


def test_it_says_what_the_model_is(file: Path) -> None:
    assert read(file, SMALL) == Header(
        version=3,
        type="model",
        architecture="llama",
        name="Tiny",
        licence="apache-2.0",
        context=128,
        layers=2,
        embedding=32,
        heads=4,
        kv_heads=2,
        vocabulary=3,
        template=TEMPLATE,
        part=0,
        parts=1,
        all_tensors=3,
        tensors=(
            Tensor("one", (32, 2), "F32", 0, 256),
            Tensor("two", (5,), "F32", 256, 20),
            Tensor("three", (32,), "F32", 288, 128),
        ),
    )


def test_the_template_is_known_by_its_hash(file: Path) -> None:
    assert read(file, SMALL).template_sha256 == hashlib.sha256(TEMPLATE.encode()).hexdigest()
    without = {key: value for key, value in SETTINGS.items() if key != "tokenizer.chat_template"}
    assert read(file, gguf(without)).template_sha256 == ""


def test_version_two_is_read_too_and_others_are_not(file: Path) -> None:
    assert read(file, gguf(version=2)).version == 2
    refused(file, gguf(version=1), "version 1")
    refused(file, gguf(version=4), "version 4")
    refused(file, b"GGUF" + struct.pack(">I", 3) + SMALL[8:], "other byte order")


def test_a_real_model_is_read(language_file: Path) -> None:
    header = read_header(language_file)
    assert (header.architecture, header.context, header.layers, header.heads) == ("llama", 8192, 30, 9)
    assert (header.kv_heads, header.embedding, header.vocabulary) == (3, 576, 49152)
    assert (header.quantisation, len(header.tensors)) == ("Q4_1", 272)
    assert header.template.startswith("{% for message in messages %}")
    last = header.tensors[-1]
    assert last.offset + last.bytes < language_file.stat().st_size


def _pytorch() -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps({"weight": 1}))
    return into.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "not a GGUF file", id="empty"),
        pytest.param(b"<html>", "not a GGUF file", id="page"),
        pytest.param(pickle.dumps({"weight": [1.0]}), "Python pickle", id="pickle"),
        pytest.param(_pytorch(), "as PyTorch writes", id="pytorch"),
        pytest.param(struct.pack("<Q", 2) + b"{}" + bytes(64), "but safetensors", id="safetensors"),
        pytest.param(b"tjgg" + bytes(64), "before GGUF", id="older"),
        pytest.param(b"GGUF", "version 0", id="only the name"),
    ],
)
def test_other_formats_are_refused_by_name(file: Path, content: bytes, words: str) -> None:
    refused(file, content, words)


LARGE = 2**63 + 5


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(made_gguf.head(LARGE, 0), id="tensors without end"),
        pytest.param(made_gguf.head(0, LARGE), id="settings without end"),
        pytest.param(made_gguf.head(0, 1) + struct.pack("<Q", LARGE), id="a name without end"),
        pytest.param(made_gguf.head(0, 1) + made_gguf.text("a") + struct.pack("<IQ", 8, LARGE), id="a text"),
        pytest.param(
            made_gguf.head(0, 1) + made_gguf.text("a") + struct.pack("<IIQ", 9, 8, LARGE),
            id="a list of texts",
        ),
        pytest.param(
            made_gguf.head(0, 1) + made_gguf.text("a") + struct.pack("<IIQ", 9, 4, LARGE), id="of numbers"
        ),
        pytest.param(
            made_gguf.head(0, 1) + made_gguf.text("a") + struct.pack("<IIQIQ", 9, 9, 1, 9, 1) + bytes(64),
            id="lists of lists",
        ),
        pytest.param(made_gguf.head(0, 1) + made_gguf.text("a") + struct.pack("<I", 13), id="no kind"),
    ],
)
def test_a_number_is_never_believed(file: Path, content: bytes) -> None:
    tracemalloc.start()
    refused(file, content + bytes(64), "damaged or incomplete")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"general.alignment": 0}, id="no alignment"),
        pytest.param({"general.alignment": 24}, id="no power of two"),
        pytest.param({"general.alignment": 2**30}, id="too large"),
        pytest.param({"general.alignment": "32"}, id="a text"),
        pytest.param({"general.architecture": 7}, id="a number as family"),
        pytest.param({"llama.block_count": "2"}, id="a text as number"),
        pytest.param({"llama.block_count": -1}, id="less than nothing"),
        pytest.param({"llama.context_length": True}, id="true"),
        pytest.param({"tokenizer.chat_template": "x" * (2**20 + 1)}, id="a template of a megabyte"),
        pytest.param({"split.no": 3, "split.count": 3}, id="a part after the last"),
    ],
)
def test_settings_that_cannot_be_are_refused(file: Path, changes: dict[str, Any]) -> None:
    refused(file, gguf(SETTINGS | changes), "damaged or incomplete")


def test_a_setting_or_a_tensor_is_there_once(file: Path) -> None:
    twice = made_gguf.pairs({"a": 1}) * 2
    refused(file, made_gguf.head(0, 2) + twice, "twice")
    again = made_gguf.tensor("one", (1,), 0) + made_gguf.tensor("one", (1,), 32)
    refused(file, made_gguf.padded(made_gguf.head(2, 0) + again) + bytes(64), "twice")


@pytest.mark.parametrize(
    "tensors",
    [
        pytest.param([("one", (8,), 32, 0)], id="a gap"),
        pytest.param([("one", (8,), 0, 0), ("two", (8,), 0, 0)], id="one on the other"),
        pytest.param([("one", (4096,), 0, 0)], id="larger than the file"),
        pytest.param([("one", (2**62, 2**62, 2**62), 0, 0)], id="larger than any file"),
        pytest.param([("one", (1, 1, 1, 1, 1), 0, 0)], id="five dimensions"),
        pytest.param([("one", (0,), 0, 0)], id="nothing"),
        pytest.param([("one", (33,), 0, 12)], id="half a block"),
        pytest.param([("one", (32,), 0, 5)], id="a kind that was given up"),
        pytest.param([("o" * 64, (8,), 0, 0)], id="a long name"),
        pytest.param([("", (8,), 0, 0)], id="no name"),
    ],
)
def test_tensors_lie_inside_the_file_one_behind_the_other(file: Path, tensors: list[Any]) -> None:
    infos = b"".join(made_gguf.tensor(*one) for one in tensors)
    with pytest.raises(NotAModel):
        read(file, made_gguf.padded(made_gguf.head(len(tensors), 0) + infos) + bytes(64))


def test_of_the_tensors_nothing_is_read(file: Path) -> None:
    """A header before a hole of 40 GB."""
    start = made_gguf.head(1, 0) + made_gguf.tensor("one", (10**10,), 0)
    file.write_bytes(start)
    with file.open("r+b") as opened:
        opened.truncate(4 * 10**10 + 4096)
    begun = time.monotonic()
    assert read_header(file).tensors[0].bytes == 4 * 10**10
    assert time.monotonic() - begun < 1


def test_many_small_words_are_given_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_header, "MAX_STRINGS", 100)
    refused(file, gguf({"tokenizer.ggml.tokens": ["a"] * 101}), "101 words")
    refused(file, gguf({"one": ["a"] * 60, "two": ["a"] * 60}), "60 words")


def _ends(file: Path, content: bytes) -> None:
    """In a result or in a sentence, soon and with little memory."""
    file.write_bytes(content)
    begun = time.monotonic()
    tracemalloc.start()
    try:
        read_header(file)
    except NotAModel as error:
        assert str(error).endswith(".") and len(str(error)) < 400
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**20
    assert time.monotonic() - begun < 2


def test_a_file_that_was_cut_is_refused_wherever(file: Path) -> None:
    for length in range(len(SMALL)):
        with pytest.raises(NotAModel):
            read(file, SMALL[:length])


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(SMALL) - 1), byte=st.integers(0, 255))
def test_any_byte_may_be_wrong(file: Path, at: int, byte: int) -> None:
    _ends(file, SMALL[:at] + bytes([byte]) + SMALL[at + 1 :])


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(SMALL) - 1), number=st.integers(0, 2**64 - 1), length=st.integers(0, len(SMALL)))
def test_any_number_may_be_wrong_and_the_end_missing(file: Path, at: int, number: int, length: int) -> None:
    _ends(file, (SMALL[:at] + struct.pack("<Q", number) + SMALL[at + 8 :])[:length])


def test_it_wants_nothing_but_the_standard_library() -> None:
    code = "import sys, workers.engines.gguf_header as h; print({m.split('.')[0] for m in sys.modules})"
    root = Path(gguf_header.__file__).parents[2]
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "workers" in done.stdout and "numpy" not in done.stdout
