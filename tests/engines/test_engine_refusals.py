"""What the engine and its client say when something is wrong."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.engines.engine_process import (
    CONTEXT,
    ENVIRONMENT,
    ROOT,
    EngineProcess,
    engine_command,
    long_text,
    says,
)
from workers.engines import EngineUnavailable, PromptTooLong, Token
from workers.engines.engine import OpenAIEngine


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.5),
        ("temperature", "hot"),
        ("temperature", True),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_p", 1.5),
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("max_tokens", CONTEXT + 1),
        ("seed", -1),
        ("seed", 2**32),
        ("stop", ""),
        ("stop", ["a"] * 9),
        ("stop", [1]),
        ("stream", "yes"),
        ("n", 2),
        ("messages", []),
        ("messages", "Hi"),
        ("messages", [{"role": "tool", "content": "Hi"}]),
        ("messages", [{"role": "user", "content": ["Hi"]}]),
        ("messages", [None]),
    ],
)
def test_a_bad_parameter_is_named(engine_process: EngineProcess, field: str, value: object) -> None:
    body = {"messages": says("Hi"), "max_tokens": 1} | {field: value}
    status, error = engine_process.refusal("/v1/chat/completions", body)
    assert (status, error["param"], error["type"]) == (400, field, "invalid_request_error")
    assert field in error["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/tokenize"])
def test_a_body_that_is_no_object_is_refused(engine_process: EngineProcess, path: str, body: bytes) -> None:
    status, error = engine_process.refusal(path, body)
    assert status == 400
    assert error["message"].endswith(".")


def test_a_huge_body_is_refused(engine_process: EngineProcess) -> None:
    status, error = engine_process.refusal("/v1/chat/completions", b" " * (8 * 2**20 + 1))
    assert (status, error["code"]) == (413, "request_too_large")


def test_a_prompt_that_leaves_no_room_has_its_own_code(engine_process: EngineProcess) -> None:
    body = {"messages": says(long_text(CONTEXT + 200)), "max_tokens": 1}
    status, error = engine_process.refusal("/v1/chat/completions", body)
    assert (status, error["code"]) == (400, "context_length_exceeded")


def test_a_prompt_and_its_answer_must_fit_together(engine: OpenAIEngine) -> None:
    prompt = says(long_text(1000))
    room = CONTEXT - engine.prompt_tokens(prompt)
    with pytest.raises(PromptTooLong):
        next(engine.chat(prompt, max_tokens=room + 1, tenant="t", conversation="c"))
    events = engine.chat(prompt, max_tokens=room, tenant="t", conversation="c")
    assert isinstance(next(events), Token)
    events.close()  # type: ignore[attr-defined]  # a generator


def test_no_engine_is_said_at_once(tmp_path: Path) -> None:
    engine = OpenAIEngine(f"unix:{tmp_path}/nobody.sock")
    started = time.monotonic()
    with pytest.raises(EngineUnavailable):
        engine.facts()
    with pytest.raises(EngineUnavailable):
        engine.embed(["Hi"])
    with pytest.raises(EngineUnavailable):
        next(engine.chat(says("Hi"), max_tokens=1, tenant="t", conversation="c"))
    assert time.monotonic() - started < 2


def test_an_engine_killed_in_mid_answer_is_noticed_and_comes_back(
    engine_parts: list[object], tmp_path: Path
) -> None:
    server = EngineProcess(tmp_path / "engine.sock", engine_parts).start()
    engine = OpenAIEngine(server.url)
    events = engine.chat(says("Tell a long story."), max_tokens=1500, tenant="t", conversation="c")
    assert isinstance(next(events), Token)
    server.kill()
    with pytest.raises(EngineUnavailable):
        list(events)
    server.start()
    assert any(engine.chat(says("Hi"), max_tokens=1, tenant="t", conversation="c"))
    server.stop()


def _started(*arguments: object) -> tuple[int, str]:
    """Exit code and stderr of an engine that cannot start."""
    command = engine_command(*arguments)
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def _without_model(parts: Sequence[object]) -> list[object]:
    return list(parts[2:])


def test_a_truncated_model_stops_the_start_with_a_sentence(
    language_file: Path, engine_parts: list[object], tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(language_file.read_bytes()[: language_file.stat().st_size // 2])
    code, said = _started("--uds", tmp_path / "e.sock", "--model", cut, *_without_model(engine_parts))
    assert code == 3
    assert (
        said.startswith("The model file is damaged or incomplete (the end of it is missing)")
        and said.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "The model file is missing"), (b"<html>", "The model file is not a GGUF file")],
)
def test_a_file_that_is_no_model_stops_the_start(
    engine_parts: list[object], tmp_path: Path, content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    code, said = _started("--uds", tmp_path / "e.sock", "--model", path, *_without_model(engine_parts))
    assert (code, said.count("\n")) == (3, 1)
    assert said.startswith(sentence) and str(tmp_path) not in said


def test_a_missing_embedder_stops_the_start(tmp_path: Path) -> None:
    code, said = _started("--uds", tmp_path / "e.sock", "--no-model", "--embedder", tmp_path / "nothing")
    assert (code, said.count("\n")) == (3, 1)
    assert said.startswith("The embedder's folder is missing")


def test_a_served_address_is_not_taken_over(engine_process: EngineProcess, embedder_folder: Path) -> None:
    code, said = _started("--uds", engine_process.uds, "--no-model", "--embedder", embedder_folder)
    assert (code, said) == (3, "Another engine serves this address already. Stop it first.\n")


def test_the_socket_is_for_its_owner_alone(engine_process: EngineProcess) -> None:
    assert engine_process.uds.stat().st_mode & 0o077 == 0
