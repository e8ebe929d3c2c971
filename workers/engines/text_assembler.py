"""Text from the bytes of tokens."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from workers.engines.thinking import Marks, Spoken


class TextAssembler:
    """Turns bytes of tokens into text: whole characters only, no thoughts, nothing from a stop string on."""

    def __init__(self, stop: Sequence[str] = (), thoughts: Marks | None = None) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._spoken = Spoken(thoughts)
        self._stop = stop
        self._held = ""
        self.stopped = False

    def add(self, data: bytes) -> str:
        """Text that is certain now. What might become a stop string is held back."""
        return self._ready(self._spoken.add(self._decoder.decode(data)))

    def _ready(self, spoken: str) -> str:
        self._held += spoken
        found = [at for s in self._stop if (at := self._held.find(s)) >= 0]
        if found:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
            return text
        keep = max((self._overlap(s) for s in self._stop), default=0)
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return text

    def rest(self) -> str:
        """What was held back when no stop string came. An unfinished character is dropped."""
        text = self._ready(self._spoken.rest())
        text, self._held = text + self._held, ""
        return text

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of the held text with which `stop` begins."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)
