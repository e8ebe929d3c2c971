"""What a reasoning model writes for itself is no part of its answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engines.text_assembler import TextAssembler
from workers.engines.thinking import CHANNELS, TAGS, Marks, end_of_prompt, marks_of

THOUGHT = "<think>\nWho signs? Two nurses, I guess.\n</think>\n\n"
ANALYSIS = "<|channel|>analysis<|message|>Two nurses.<|start|>assistant<|channel|>final<|message|>"


def said(text: str, marks: Marks | None, size: int = 1, stop: tuple[str, ...] = ()) -> str:
    """The text of an answer that came in pieces of so many bytes."""
    assembler, data = TextAssembler(stop, marks), text.encode()
    answer = ""
    for start in range(0, len(data), size):
        answer += assembler.add(data[start : start + size])
        if assembler.stopped:
            return answer
    return answer + assembler.rest()


def test_a_model_thinks_if_its_template_speaks_of_it() -> None:
    assert marks_of("{{ '<think>\n\n</think>' if enable_thinking is false }}") == TAGS
    assert marks_of("{{ '<|channel|>analysis<|message|>' }}") == CHANNELS
    assert marks_of("{{ messages[0].content.split('</think>')[-1] }}") is None
    assert marks_of("{{ messages[0].content }}") is None


@pytest.mark.parametrize(
    ("marks", "prompt", "end"),
    [
        (TAGS, "<|im_start|>assistant\n", "<think>\n\n</think>\n\n"),
        (TAGS, "<|im_start|>assistant\n<think>\n", "\n\n</think>\n\n"),
        (TAGS, "<｜Assistant｜></think>", ""),
        (CHANNELS, "<|start|>assistant", "<|channel|>final<|message|>"),
        (CHANNELS, "<|start|>assistant<|channel|>final<|message|>", ""),
    ],
)
def test_a_prompt_ends_behind_the_thoughts(marks: Marks, prompt: str, end: str) -> None:
    assert end_of_prompt(marks, prompt) == end


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(("marks", "thought"), [(TAGS, THOUGHT), (CHANNELS, ANALYSIS)])
def test_thoughts_before_the_first_word_are_left_out(size: int, marks: Marks, thought: str) -> None:
    assert said(f"{thought}Two nurses sign it. [1]", marks, size) == "Two nurses sign it. [1]"
    assert said(f"\n{thought}{thought}Ärger", marks, size) == "Ärger"
    assert said(thought[:-3], marks, size) == ""


def test_a_stop_string_in_a_thought_stops_nothing() -> None:
    assert said(f"{THOUGHT}Yes. No.", TAGS, stop=("Two", "No")) == "Yes. "


def test_what_only_looks_like_a_thought_is_given_back() -> None:
    assert said("<thinly sliced", TAGS) == "<thinly sliced"
    assert said("<thin", TAGS) == "<thin"
    assert said("<thin", TAGS, stop=("hi",)) == "<t"


def test_an_answer_about_marks_keeps_them() -> None:
    assert said(f"It writes {THOUGHT}first.", TAGS) == f"It writes {THOUGHT}first."
    assert said(f"{THOUGHT}first.", None) == f"{THOUGHT}first."


@given(st.text(), st.integers(1, 9))
def test_every_other_text_comes_as_it_is(text: str, size: int) -> None:
    assert said(f"{THOUGHT}.{text}", TAGS, size) == f".{text}"
