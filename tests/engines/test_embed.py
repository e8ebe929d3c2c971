"""Vectors of questions and passages: the bare library's, and none slower."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy
import pytest

from tests.engines.engine_process import EngineProcess, long_text, says
from workers.engines import EngineUnavailable, Token
from workers.engines.embed import PassageEmbedder, batches
from workers.engines.engine import OpenAIEngine

TEXTS = [
    "How long is the record of a dose kept?",
    "",
    "Zürich – 東京 – 😀",
    long_text(120),
    long_text(900),
    "Two nurses sign.",
]


@pytest.fixture(scope="module")
def passages(embedder_folder: Path) -> PassageEmbedder:
    return PassageEmbedder(embedder_folder)


@pytest.fixture(scope="module")
def bare(embedder_folder: Path, passages: PassageEmbedder) -> object:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(embedder_folder), local_files_only=True)


def test_passages_have_the_bare_librarys_vectors(passages: PassageEmbedder, bare: object) -> None:
    expected = bare.encode(TEXTS, normalize_embeddings=True)  # type: ignore[attr-defined]  # SentenceTransformer
    found = passages.encode(TEXTS)
    assert found.shape == (len(TEXTS), passages.dimension) and found.dtype == numpy.float32
    assert numpy.abs(found - expected).max() < 1e-5


def test_questions_have_the_bare_librarys_vectors(engine: OpenAIEngine, bare: object) -> None:
    expected = bare.encode(TEXTS, normalize_embeddings=True)  # type: ignore[attr-defined]  # SentenceTransformer
    assert numpy.abs(numpy.array(engine.embed(TEXTS)) - expected).max() < 1e-5


def test_no_texts_have_no_vectors(passages: PassageEmbedder, engine: OpenAIEngine) -> None:
    assert passages.encode([]).shape == (0, 384)
    assert engine.embed([]) == []


def test_more_questions_than_one_request_holds_keep_their_order(engine: OpenAIEngine) -> None:
    texts = [f"Room {n}" for n in range(300)]
    found = numpy.array(engine.embed(texts))
    assert numpy.abs(found[299] - numpy.array(engine.embed(["Room 299"]))[0]).max() < 1e-5


def test_tokens_are_counted_uncut_with_their_marks(passages: PassageEmbedder) -> None:
    assert passages.count_tokens(["", "hello", "hello world"]) == [2, 3, 4]
    assert passages.count_tokens([long_text(900)])[0] > passages.max_tokens == 256


def test_batches_hold_every_text_once_within_the_budget() -> None:
    counts = [5, 900, 256, 7, 31, 30, 100, 3]
    found = list(batches(counts, longest=256, budget=300))
    assert sorted(index for batch in found for index in batch) == list(range(len(counts)))
    assert all(
        len(batch) * max(min(counts[i], 256) for i in batch) <= 300 or len(batch) == 1 for batch in found
    )


def test_passages_are_not_embedded_slower_than_by_the_bare_library(
    passages: PassageEmbedder, bare: object
) -> None:
    texts = [long_text(40 + n * 7 % 200) for n in range(96)]

    def seconds(encode: object) -> float:
        """Of all cores: what else the machine does is not counted."""
        started = time.process_time()
        encode(texts)  # type: ignore[operator]  # either encoder
        return time.process_time() - started

    # The best of three, in turns: other work on the machine still empties caches.
    pairs = [(seconds(passages.encode), seconds(bare.encode)) for _ in range(3)]  # type: ignore[attr-defined]  # SentenceTransformer
    assert min(own for own, _ in pairs) <= 1.15 * min(alone for _, alone in pairs)


def test_a_question_does_not_wait_behind_an_answer(engine: OpenAIEngine) -> None:
    stop = threading.Event()
    events = engine.chat(says("Tell a long story."), max_tokens=1500, tenant="t", conversation="c", stop=stop)
    while not isinstance(next(events), Token):
        pass
    started = time.monotonic()
    engine.embed(["How long is a record kept?"])
    took = time.monotonic() - started
    assert isinstance(next(events), Token), "the answer was over already"
    stop.set()
    list(events)
    assert took < 1


def test_an_engine_embeds_with_the_embedder_that_is_named(
    embedder_folder: Path, small_embedder: Path, tmp_path: Path
) -> None:
    """While an index is made anew, questions are asked of the old one, embedded as its passages were."""
    parts = ["--no-model", "--embedder", embedder_folder, "--embedder-name", "mini"]
    also = ["--also", "small", "c" * 64, small_embedder, "--also", "gone", "d" * 64, tmp_path / "nothing"]
    server = EngineProcess(tmp_path / "engine.sock", [*parts, *also]).start()
    engine = OpenAIEngine(server.url)
    by_name, by_hash = (engine.embed(["Hi"], embedder=model)[0] for model in ("small", "c" * 64))
    assert by_name == by_hash
    assert by_name == pytest.approx(PassageEmbedder(small_embedder).encode(["Hi"])[0], abs=1e-6)
    assert len(engine.embed(["Hi"], embedder="mini")[0]) == len(engine.embed(["Hi"])[0]) == 384
    for model in ("unknown", "gone"):
        with pytest.raises(EngineUnavailable):
            engine.embed(["Hi"], embedder=model)
    assert server.refusal("/v1/embeddings", {"input": "Hi", "model": "unknown"})[0] == 404
    assert server.refusal("/v1/embeddings", {"input": "Hi", "model": ["small"]})[0] == 404
    server.stop()


def test_an_engine_without_a_model_only_embeds(embedder_folder: Path, tmp_path: Path) -> None:
    parts = ["--no-model", "--embedder", embedder_folder, "--embedder-name", "mini"]
    server = EngineProcess(tmp_path / "engine.sock", parts).start()
    engine = OpenAIEngine(server.url)
    assert len(engine.embed(["Hi"])[0]) == 384
    assert (engine.facts().model, engine.facts().context) == ("", 0)
    with pytest.raises(EngineUnavailable):
        next(engine.chat(says("Hi"), max_tokens=1, tenant="t", conversation="c"))
    server.stop()
