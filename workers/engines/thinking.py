"""What a reasoning model writes for itself before it answers: kept out of answers.

Such a model is told by the end of its prompt that it has thought already: on a processor a minute of thoughts
is a minute without a word, and sentences that a model wrote for itself are no answer to cite from. What it
thinks all the same, before its first word, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """Around thoughts; `skips` at the end of a prompt says that there are none."""

    opens: str
    closes: str
    skips: str


TAGS = Marks("<think>", "</think>", "<think>\n\n</think>\n\n")
CHANNELS = Marks(
    "<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "<|channel|>final<|message|>"
)


def marks_of(template: str) -> Marks | None:
    """By what a model's chat template speaks of; None for a model that does not think."""
    if "<|channel|>" in template:
        return CHANNELS
    return TAGS if TAGS.opens in template else None


def end_of_prompt(marks: Marks, prompt: str) -> str:
    """What a rendered prompt lacks so that the answer comes next."""
    if prompt.rstrip().endswith(marks.closes):
        return ""
    # Some templates begin the thoughts themselves.
    opened = prompt.rstrip().endswith(marks.opens)
    return marks.skips.removeprefix(marks.opens) if opened else marks.skips


class Spoken:
    """Text without the thoughts before its first word."""

    def __init__(self, marks: Marks | None) -> None:
        self._marks = marks
        self._held = ""
        self._thinks = False

    def add(self, text: str) -> str:
        """What is certain to be said."""
        if self._marks is None:
            return text
        self._held += text
        while True:
            if self._thinks:
                _thought, found, rest = self._held.partition(self._marks.closes)
                if not found:
                    # Of thoughts only what may become their end is kept.
                    self._held = self._held[-len(self._marks.closes) :]
                    return ""
                self._held, self._thinks = rest, False
            begun = self._held.lstrip()
            if begun.startswith(self._marks.opens):
                self._held, self._thinks = begun.removeprefix(self._marks.opens), True
            elif self._marks.opens.startswith(begun):
                return ""
            else:
                self._marks, self._held = None, ""
                return begun

    def rest(self) -> str:
        """What was held back when nothing more came."""
        held, self._held = self._held, ""
        return "" if self._thinks else held.lstrip()
