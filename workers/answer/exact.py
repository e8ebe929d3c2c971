"""What was asked for to the letter: which passages hold it, and which words to mark in them.

A text is compared after folding: compatibility forms, case, dashes and what nobody sees do not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from muniment.documents.sentences import BEGINNERS
from muniment.search.asked import Asked
from workers.engines import SparseVector
from workers.engines.sparse import INVISIBLE, token_index, tokens

# Worth of a place that holds a term, so that a file of that name is first, a mere likeness last.
IN_NAME, TO_THE_LETTER, ALIKE = 3, 2, 1
# Latin words no longer than this are not marked, unless they are written in capitals or hold a figure.
SHORT = 3

Span = tuple[int, int]

_DASHES = {ord(one): "-" for one in "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"}
_DASH = "[-\u2010-\u2015\u2212]"
_PART = re.compile(r"\d+|[^\W\d_]+|_")
_JOINT = r"[-_./,:]"
_CHARACTER = r"[^\s\-_./,:;()\[\]{}\"'“”„«»‘’!?…–—|<>=+*#&]"
_WORD = re.compile(rf"{_CHARACTER}+(?:[-_./,:]{_CHARACTER}+)*")
_PIECE = re.compile(r"[^-_./,:]+")


def folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).translate(_DASHES).translate(INVISIBLE).casefold()


@dataclass(frozen=True)
class Term:
    """A phrase or a code; `worth` is told of folded texts."""

    text: str
    is_code: bool

    def worth(self, text: str) -> int:
        """How nearly the text holds the term: TO_THE_LETTER, ALIKE, or 0."""
        if self._strict.search(text):
            return TO_THE_LETTER
        return ALIKE if self.is_code and self._loose.search(text) else 0

    def spans(self, text: str) -> Iterator[Span]:
        """Where the term stands in a text that is not folded."""
        for pattern in (self._strict_raw, *([self._loose] if self.is_code else [])):
            found = [match.span() for match in pattern.finditer(text)]
            if found:
                yield from found
                return

    @cached_property
    def _strict(self) -> re.Pattern[str]:
        return _pattern(r"\s+".join(map(re.escape, folded(self.text).split())), self.text, self.is_code)

    @cached_property
    def _strict_raw(self) -> re.Pattern[str]:
        """Dashes and spaces of any kind, for texts as they are."""
        written = r"\s+".join(map(re.escape, self.text.translate(_DASHES).split())).replace(r"\-", _DASH)
        return _pattern(written, self.text, self.is_code)

    @cached_property
    def _loose(self) -> re.Pattern[str]:
        """KS-4471 as KS4471 or KS 4471, 4471 in KS-4471; a number keeps its separators: 12.5 is not 125."""
        parts = _PART.findall(folded(self.text))
        if not any(part.isalpha() for part in parts):
            return _pattern(re.escape(folded(self.text)), self.text, False)
        return _pattern(rf"(?:{_JOINT}|{_DASH}|\s)?".join(map(re.escape, parts)), self.text, False)


def _pattern(body: str, term: str, whole: bool) -> re.Pattern[str]:
    """`whole`: not as a part of a longer code either. Scripts without spaces have no ends of words."""
    before = rf"(?<!\w)(?<!\w{_JOINT})" if whole else r"(?<!\w)"
    after = rf"(?!\w)(?!{_JOINT}\w)" if whole else r"(?!\w)"
    before = before if _ends_a_word(term[0]) else ""
    after = after if _ends_a_word(term[-1]) else ""
    return re.compile(f"{before}{body}{after}", re.IGNORECASE)


def _ends_a_word(character: str) -> bool:
    return character.isalnum() and unicodedata.category(character) != "Lo"


class Exact:
    """The terms of a question."""

    def __init__(self, asked: Asked) -> None:
        self.phrases = [Term(phrase, False) for phrase in asked.phrases]
        self.codes = [Term(code, True) for code in asked.codes]
        self._names = [Term(name, True) for name in asked.names]
        self._asked = frozenset(token for word in asked.text.split() for token in _tokens(word))
        self._telling = _telling(asked.words)

    def __bool__(self) -> bool:
        return bool(self.phrases or self.codes)

    @property
    def phrased(self) -> str:
        """The words of all phrases."""
        return " ".join(phrase.text for phrase in self.phrases)

    def vector(self, phrased: SparseVector) -> SparseVector:
        """The words of phrases, and each code as the one token that only its holders have."""
        codes = {token_index(tokens(code.text, None)[0]) for code in self.codes if _has_digit(code.text)}
        indices = sorted(codes.union(phrased.indices))
        return SparseVector(tuple(indices), (1.0,) * len(indices))

    def worth(self, name: str, text: str) -> int | None:
        """How well a passage fits to the letter; None where a phrase is missing. Both are folded."""
        everything = f"{name}\n{text}"
        if not all(phrase.worth(everything) for phrase in self.phrases):
            return None
        named = sum(IN_NAME for term in self._names if term.worth(name) == TO_THE_LETTER)
        return named + sum(term.worth(everything) for term in (*self.phrases, *self.codes))

    def held(self, text: str) -> int:
        """For choosing a sentence."""
        text = folded(text)
        return sum(term.worth(text) for term in (*self.phrases, *self.codes))

    def marks(self, text: str) -> list[Span]:
        """What to mark in a text, in order, no two of them touching."""
        found = [span for term in (*self.phrases, *self.codes) for span in term.spans(text)]
        return _joined([*found, *(span for span, _tokens in _words_in(text, self._telling))])

    def words_in(self, text: str) -> list[tuple[Span, frozenset[str]]]:
        """Where the words of the question stand in a text, and as which of its tokens."""
        return list(_words_in(text, self._asked))


def _telling(words: Sequence[str]) -> frozenset[str]:
    """The tokens of the question's words but those that stand everywhere, unless there are no others."""
    telling = [word for word in words if not _is_common(word)]
    return frozenset(token for word in telling or words for token in _tokens(word))


def _is_common(word: str) -> bool:
    if word.casefold() in BEGINNERS:
        return True
    return len(word) <= SHORT and word.isascii() and word.isalpha() and not word.isupper()


def _words_in(text: str, wanted: frozenset[str]) -> Iterator[tuple[Span, frozenset[str]]]:
    for match in _WORD.finditer(text):
        word, start = match.group(), match.start()
        found = _tokens(word)
        shared = wanted.intersection(found)
        if not shared:
            continue
        if len(found) == 1 or _has_digit(word):
            yield match.span(), shared
            continue
        # Joined words one by one; a script without spaces by its tokens, which are pairs of characters.
        pieces = [piece.span() for piece in _PIECE.finditer(word)]
        if len(pieces) == 1:
            pieces = [(at, at + 2) for at in range(len(word) - 1)]
        for begin, end in pieces:
            if shared := wanted.intersection(_tokens(word[begin:end])):
                yield (start + begin, start + end), shared


@lru_cache(maxsize=50_000)
def _tokens(word: str) -> tuple[str, ...]:
    return tuple(tokens(word))


def _has_digit(word: str) -> bool:
    return any(one.isdigit() for one in word)


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
