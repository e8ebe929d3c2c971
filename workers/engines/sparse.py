"""Words as sparse vectors: the exact side of the search, for names, numbers and codes.

A passage's weight for a word is BM25's saturated term frequency. How rare the word is (IDF) is not in the
vectors: the index computes it at query time, over the points of the libraries that are looked through
(`index.QdrantIndex` names them as the corpus), so what one may not read never moves a score and no table of
counts is kept. Very common words therefore weigh next to nothing, and there is no list of stop words.

Both sides must be given the same language, or their stems differ.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator

import mmh3
import Stemmer

from workers.engines import SparseVector

# Of tokens and weights together: an index of another version is made anew.
WORDS_VERSION = 2
K1 = 1.2
B = 0.75
# Tokens of a usual passage. A constant, so that a passage's vector never depends on other passages. On seven
# sets with means of 30 to 110, BM25 with it loses at most 0.004 of nDCG@10 against each set's own mean.
AVERAGE_LENGTH = 80
LANGUAGES = tuple(sorted(Stemmer.algorithms()))
# The stemmer of texts whose language is not known: what was read before languages were told had this one.
USUAL = "english"
# By the codes of ISO 639-1 that readers give.
STEMMERS = {
    "ar": "arabic",
    "ca": "catalan",
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "nb": "norwegian",
    "ne": "nepali",
    "nl": "dutch",
    "nn": "norwegian",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}

# Written without spaces between words; their runs become overlapping pairs of characters.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Vowel signs of many scripts are marks, which the pattern \w leaves out.
_MARKS = "".join(
    chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)).startswith("M")
)
_CHARACTER = rf"[^\W_{UNSPACED}]|[{_MARKS}]"
_WORD = re.compile(rf"(?:{_CHARACTER})+(?:[-_./,:](?:{_CHARACTER})+)*|[{UNSPACED}]+")
_RUN = re.compile(rf"[{UNSPACED}]")
# A code falls into its runs of digits and of other characters: KS-4471 and KS4471 into ks and 4471.
_PART = re.compile(r"\d+|[^\W\d_]+")
_PIECE = re.compile(r"[-_./,:]")
_NUMBER = re.compile(r"[\d\-_./,:]+")
# Soft hyphen, zero-width space, word joiner, byte-order mark: inside words of PDF and HTML, seen by nobody.
INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF))

_stemmers = threading.local()


class UnknownLanguage(ValueError):
    """There is no stemmer of this name."""


def passage_vector(
    text: str, language: str | None = USUAL, average_length: float = AVERAGE_LENGTH
) -> SparseVector:
    """The words of a passage with BM25 term weights; `language` is one of LANGUAGES, None for no stemming."""
    counts = Counter(token_index(token) for token in tokens(text, language))
    length_norm = K1 * (1 - B + B * counts.total() / average_length)
    return _vector({index: count * (K1 + 1) / (count + length_norm) for index, count in counts.items()})


def query_vector(text: str, languages: Iterable[str | None] = (USUAL,)) -> SparseVector:
    """The words of a question, each once with weight one; the index multiplies by the IDF.

    In each of the languages that are looked through: a word that two of them stem otherwise is there twice,
    and a passage of either has one of them.
    """
    return _vector({token_index(token): 1.0 for language in languages for token in tokens(text, language)})


def stemmer_of(code: str) -> str | None:
    """For texts of a language by its code: one of LANGUAGES, or None for none."""
    return STEMMERS.get(code) if code else USUAL


def tokens(text: str, language: str | None = USUAL) -> list[str]:
    """Words folded and stemmed; a code or number once whole and once in its parts.

    "KS-4471", "KS 4471" and "ks4471" share the tokens ks and 4471, the first and the last also ks4471.
    """
    stem = _stemmer(language)
    folded = unicodedata.normalize("NFKC", text).translate(INVISIBLE).casefold()
    return [token for match in _WORD.finditer(folded) for token in _split(match.group(), stem)]


def token_index(token: str) -> int:
    return abs(mmh3.hash(token))


def _split(word: str, stem: Stemmer.Stemmer | None) -> Iterator[str]:
    if _RUN.match(word):
        yield from ([word] if len(word) == 1 else (word[at : at + 2] for at in range(len(word) - 1)))
    elif any(character.isdigit() for character in word):
        yield from _code(word, stem)
    else:
        yield from (_stemmed(piece, stem) for piece in _PIECE.split(word))


def _code(word: str, stem: Stemmer.Stemmer | None) -> Iterator[str]:
    parts = _PART.findall(word)
    # 12.5 must not meet 125, so numbers keep their separators; a decimal comma is a point.
    whole = word.replace(",", ".") if _NUMBER.fullmatch(word) else _PIECE.sub("", word)
    yield whole
    if len(parts) > 1:
        yield from (_stemmed(part, stem) for part in parts)


def _stemmed(word: str, stem: Stemmer.Stemmer | None) -> str:
    return stem.stemWord(word) if stem else word


def _stemmer(language: str | None) -> Stemmer.Stemmer | None:
    """One stemmer a thread: they cache, and are not safe to share."""
    if language is None:
        return None
    if language not in LANGUAGES:
        raise UnknownLanguage(f"There is no stemmer for {language!r}; choose one of {', '.join(LANGUAGES)}.")
    if language not in vars(_stemmers):
        setattr(_stemmers, language, Stemmer.Stemmer(language))
    return vars(_stemmers)[language]


def _vector(weights: dict[int, float]) -> SparseVector:
    indices = sorted(weights)
    return SparseVector(tuple(indices), tuple(weights[index] for index in indices))
