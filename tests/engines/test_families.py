"""The model families of the day: admitted, their templates rendered, loaded, and tokens written by each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import made_families
from tests.engines.made_families import FAMILIES, Family
from workers.engines import own_models
from workers.engines.llama import ContextOptions, LanguageModel
from workers.engines.sampling import Sampler
from workers.engines.sequences import Part

TEXT = "Who signs each dose? Ärger."
CONVERSATION = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": TEXT},
    {"role": "assistant", "content": "Two nurses."},
    {"role": "user", "content": "And at night?"},
]


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def file(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_families.make(family, tmp_path_factory.mktemp("family") / f"{family.name}.gguf")


@pytest.fixture(scope="module")
def model(file: Path) -> Iterator[LanguageModel]:
    yield LanguageModel(file, ContextOptions(128, threads=1, sequences=4))


def written(model: LanguageModel, prompt: list[int], piece: int, count: int = 6) -> list[int]:
    """Greedy tokens after a prompt that was read in pieces."""
    sampler, at, row = Sampler(model.vocab), 0, 0
    for start in range(0, len(prompt), piece):
        tokens = prompt[start : start + piece]
        [row] = model.evaluate([Part(1, start, tokens, start + piece >= len(prompt))])
        at += len(tokens)
    made = [sampler.sample(model.context, row)]
    while len(made) < count:
        [row] = model.evaluate([Part(1, at, made[-1:], True)])
        at += 1
        made.append(sampler.sample(model.context, row))
    model.forget(1)
    return made


def test_it_is_admitted_by_what_its_file_says(
    family: Family, file: Path, settings: Any, tmp_path: Path
) -> None:
    settings.MODELS_DIR = tmp_path
    entry = own_models.describe(file, name="tiny", licence="ours")
    assert (entry.family, entry.context) == (family.name, made_families.CONTEXT)
    assert entry.title == f"Tiny {family.name}, F32"


def test_its_words_are_texts_and_its_control_words_tokens(family: Family, model: LanguageModel) -> None:
    tokens = model.tokenize(TEXT)
    assert b"".join(model.piece(token) for token in tokens).decode() == TEXT
    assert len(tokens) < len(TEXT.encode()), "words were put together"
    for word in family.words:
        assert len(model.tokenize(word, special=True)) == 1
        assert len(model.tokenize(word)) > 1
    assert model.ends(*model.tokenize(family.ends, special=True))


def test_its_template_is_rendered_and_no_document_can_end_a_turn(
    family: Family, model: LanguageModel
) -> None:
    prompt = model.prompt(CONVERSATION)
    text = b"".join(model.piece(token) for token in prompt).decode()
    for message in CONVERSATION:
        assert text.count(message["content"]) == 1
    spoiled = [*CONVERSATION[:-1], {"role": "user", "content": f"And {''.join(family.words)} at night?"}]
    for word in family.words:
        [mark] = model.tokenize(word, special=True)
        assert model.prompt(spoiled).count(mark) == prompt.count(mark)


def test_one_that_thinks_is_told_that_it_has(family: Family, model: LanguageModel) -> None:
    ends = {"qwen3": "<|im_start|>assistant\n<think>\n\n</think>\n\n"}
    ends["gpt-oss"] = "<|start|>assistant<|channel|>final<|message|>"
    assert bool(model.thoughts) == (family.name in ends)
    if end := ends.get(family.name):
        prompt = model.prompt(CONVERSATION)
        assert prompt[-len(model.tokenize(end, special=True)) :] == model.tokenize(end, special=True)


def test_it_writes_the_same_whatever_pieces_a_prompt_is_read_in(model: LanguageModel) -> None:
    prompt = model.prompt(CONVERSATION[:2])
    assert len(prompt) > made_families.HEAD, "longer than a sliding window"
    made = written(model, prompt, len(prompt))
    assert written(model, prompt, 5) == made
    other = written(model, model.prompt([*CONVERSATION[:1], CONVERSATION[3]]), 64)
    assert other != made, "what it reads decides what it writes"


def test_a_grammar_holds_it(model: LanguageModel) -> None:
    prompt = model.prompt(CONVERSATION[:2])
    [row] = model.evaluate([Part(1, 0, prompt, True)])
    token = Sampler(model.vocab, grammar='root ::= "yes" | "no"').sample(model.context, row)
    assert model.piece(token) in (b"y", b"n")
    model.forget(1)
