"""Signed notes and checkpoints as C2SP writes them, read strictly: what is printed is what was parsed.

A note is a text, an empty line, and lines with a key's name and signature. A checkpoint is a note whose text
names a log, the size of its tree and the root.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from muniment.audit.merkle import HASH_BYTES

MARK = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class BadNote(Exception):
    """The note is not signed by that key, or it is not written as notes are."""


@dataclass(frozen=True)
class Signature:
    """`key` are the four bytes that tell keys of one name apart."""

    name: str
    key: bytes
    signed: bytes

    def __str__(self) -> str:
        return f"{MARK}{self.name} {base64.b64encode(self.key + self.signed).decode()}\n"


@dataclass(frozen=True)
class Note:
    """`text` ends with a newline, and is what is signed."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    @classmethod
    def parse(cls, written: str) -> Note:
        """Raises BadNote."""
        text, gap, lines = written.rpartition("\n\n")
        if not gap or not text or not lines.endswith("\n"):
            raise BadNote("This is no signed note.")
        if _CONTROL.search(written):
            raise BadNote("A note holds no control characters.")
        note = cls(f"{text}\n", tuple(map(_signature, lines[:-1].split("\n"))))
        if str(note) != written:
            raise BadNote("The note is not written as notes are.")
        return note


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(MARK).partition(" ")
    if not line.startswith(MARK) or not is_name(name):
        raise BadNote("A line below the note is no signature.")
    data = decoded(encoded)
    if len(data) < 5:
        raise BadNote("A signature is too short.")
    return Signature(name, data[:4], data[4:])


def is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(character.isspace() for character in name)


def decoded(text: str) -> bytes:
    """Base 64 as it is encoded here, and no other spelling of the same bytes. Raises BadNote."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote("A signature or hash is not base 64.") from error
    if base64.b64encode(data).decode() != text:
        raise BadNote("A signature or hash is not written as base 64 is.")
    return data


@dataclass(frozen=True)
class Checkpoint:
    """How large a log's tree was, and its root. `origin` names the log."""

    origin: str
    size: int
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """From a note's text, without lines of an extension. Raises BadNote."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not is_name(lines[0]) or not _NUMBER.fullmatch(lines[1]):
            raise BadNote("The note is no checkpoint of a log.")
        root = decoded(lines[2])
        if len(root) != HASH_BYTES:
            raise BadNote("The root of a checkpoint has 32 bytes.")
        return cls(lines[0], int(lines[1]), root)
