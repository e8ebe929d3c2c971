"""What a person typed, taken apart, and how far the search is narrowed. The workers read the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from muniment.documents.forms import KINDS

# A pasted page is searched by its beginning: more words say nothing more, and the embedder reads no further.
MOST_WORDS, MOST_CHARS, READ_CHARS = 200, 2000, 4000
# Each costs a look at every candidate's text.
MOST_EXACT = 8
# Documents of a page of results, the passages shown of each, and passages of a page of one document alone.
DOCUMENTS, OF_EACH, OF_ONE = 10, 3, 20
ENDINGS = tuple(ending for _name, endings in KINDS.values() for ending in endings)

_MARKS = str.maketrans(dict.fromkeys("“”„‟«»＂", '"'))
# An inch (12") opens nothing.
_PHRASE = re.compile(r'(?<![^\s(])"([^"]+)"(?!\w)')
_EDGES = re.compile(r"^[\W_]+|[\W_]+$")
_OPERATOR = re.compile(
    r"(?:^|\s)(?:(?:AND|OR|NOT|NEAR)(?=\s|$)|[-+!](?=[^\W\d])|[a-z]{2,}:(?=\w)|&&|\|\|)|\w[*~^](?=\s|$)"
)


@dataclass(frozen=True)
class Asked:
    """`typed` is what it was made of, `text` the words in it, `words` what is neither in a phrase nor a code.

    A passage must hold every phrase; one that holds a code comes first.
    `cut`: there were more words than are looked for. `operators`: some would mean something elsewhere.
    """

    typed: str
    text: str
    phrases: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    cut: bool = False
    operators: bool = False

    @property
    def has_words(self) -> bool:
        return any(character.isalnum() for character in self.text)

    @property
    def names(self) -> tuple[str, ...]:
        """What may be the name of a file, or a part of it."""
        whole = (self.text,) if self.text.lower().endswith(ENDINGS) else ()
        return tuple(dict.fromkeys((*whole, *self.phrases, *self.codes)))


def asked(typed: str) -> Asked:
    """Take apart what was typed; nothing that can be typed is an error."""
    words = "".join(map(_seen, typed[:READ_CHARS])).translate(_MARKS).split()
    kept = " ".join(words[:MOST_WORDS])[:MOST_CHARS]
    phrases = _once(found for found in (" ".join(p.split()) for p in _PHRASE.findall(kept)) if _says(found))
    rest = _PHRASE.sub(" ", kept)
    others = _once(_EDGES.sub("", word) for word in rest.split())
    return Asked(
        typed=kept,
        text=" ".join(kept.replace('"', " ").split()),
        phrases=phrases[:MOST_EXACT],
        codes=tuple(filter(_is_code, others))[:MOST_EXACT],
        words=tuple(word for word in others if word and not _is_code(word)),
        cut=len(words) > MOST_WORDS or len(kept) == MOST_CHARS or len(typed) > READ_CHARS,
        operators=bool(_OPERATOR.search(rest)),
    )


def _seen(character: str) -> str:
    """Control signs are spaces, what turns the direction of writing is nothing; joiners belong to words."""
    category = unicodedata.category(character)
    if category == "Cf" and character not in "\u200c\u200d":
        return ""
    return " " if category in {"Cc", "Cs"} else character


def _is_code(word: str) -> bool:
    """Numbers, part numbers, names of files: what is meant to the letter."""
    return any(one.isdigit() for one in word) or word.lower().endswith(ENDINGS) or "_" in word


def _says(phrase: str) -> bool:
    return any(one.isalnum() for one in phrase)


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


@dataclass(frozen=True)
class Narrowing:
    """Where is searched: nothing set is everything that may be read. Days are of the site's time zone."""

    libraries: frozenset[UUID] = frozenset()
    document: UUID | None = None
    kind: str = ""
    label: int | None = None
    since: date | None = None
    until: date | None = None

    def told(self) -> dict[str, Any]:
        """As a message carries it."""
        return {
            "libraries": sorted(map(str, self.libraries)),
            "document": str(self.document) if self.document else None,
            "kind": self.kind,
            "label": self.label,
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
        }

    @classmethod
    def heard(cls, told: dict[str, Any]) -> Narrowing:
        return cls(
            libraries=frozenset(map(UUID, told["libraries"])),
            document=UUID(told["document"]) if told["document"] else None,
            kind=told["kind"],
            label=told["label"],
            since=date.fromisoformat(told["since"]) if told["since"] else None,
            until=date.fromisoformat(told["until"]) if told["until"] else None,
        )
