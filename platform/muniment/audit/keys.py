"""The site's signing keys (Ed25519) and the notes that they sign, in the formats of C2SP (signed-note).

There are two. The log's key is the sequencer's alone: it signs what the trail holds. The site's key signs
reports of whoever may read it, so its signature says "made on this installation by an account that may read
its key", and no more.

Whoever checks a note needs the public key from elsewhere: it lies beside the private one, and is printed with
each report. Its fingerprint is what people compare.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from muniment.audit.notes import BadNote, Note, Signature, is_name

__all__ = ["BadNote", "KeyUnusable", "PublicKey", "SigningKey", "signing_key"]

ED25519 = b"\x01"
PRIVATE = "PRIVATE+KEY"


class KeyUnusable(Exception):
    """The key file is missing, damaged, or readable by others; the message says what to do."""


@dataclass(frozen=True)
class PublicKey:
    name: str
    raw: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys apart: SHA-256 of name, newline, kind and key."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.raw).digest()[:4]

    def __str__(self) -> str:
        """As it is handed to whoever checks: name+id+key."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Raises KeyUnusable."""
        try:
            name, identity, encoded = text.strip().split("+", 2)
            data = base64.b64decode(encoded, validate=True)
            key = cls(name, data[1:])
            if data[:1] != ED25519 or len(key.raw) != 32 or key.id.hex() != identity or not is_name(name):
                raise ValueError
        except ValueError as error:
            raise KeyUnusable("This is no public key: it looks like NAME+ID+KEY.") from error
        return key

    @property
    def fingerprint(self) -> str:
        """What people compare: half of the SHA-256 of kind and key, in groups of four."""
        digest = hashlib.sha256(ED25519 + self.raw).hexdigest()[:32]
        return "-".join(digest[start : start + 4] for start in range(0, 32, 4))

    def named(self, name: str) -> PublicKey:
        """The same key as it signs for a log of that name."""
        return PublicKey(name, self.raw)

    def check(self, note: str) -> str:
        """The text of a note that this key signed. Raises BadNote."""
        parsed = Note.parse(note)
        for signature in parsed.signatures:
            if (signature.name, signature.key) != (self.name, self.id):
                continue
            try:
                Ed25519PublicKey.from_public_bytes(self.raw).verify(signature.signed, parsed.text.encode())
            except InvalidSignature as error:
                raise BadNote("The signature does not fit: the text was changed after signing.") from error
            return parsed.text
        raise BadNote("It is not signed by this key.")


@dataclass(frozen=True)
class SigningKey:
    name: str
    _private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.name, self._private.public_key().public_bytes_raw())

    def named(self, name: str) -> SigningKey:
        """The same key, to sign for a log of that name."""
        return SigningKey(name, self._private)

    def sign(self, text: str) -> str:
        """The note. `text` ends with a newline and has no empty line at its end."""
        if not text.endswith("\n"):
            raise ValueError("A note's text ends with a newline.")
        return str(Note(text, (Signature(self.name, self.public.id, self._private.sign(text.encode())),)))


def signing_key(folder: Path, called: str = "site") -> SigningKey:
    """The key of that name in `folder`, made when there is none. Raises KeyUnusable."""
    path = folder / f"{called}.key"
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise KeyUnusable(f"Others can read {path.name}: give it the mode 600, and think of a new key.")
        return _parse(path.read_text())
    except OSError as error:
        raise KeyUnusable(f"The signing key {path.name} cannot be read ({error.strerror}).") from error


def _make(path: Path) -> None:
    """A new key and, beside it, its public half; two processes at once end with one key."""
    name = f"muniment-{secrets.token_hex(4)}"
    private = Ed25519PrivateKey.generate()
    public = SigningKey(name, private).public
    secret = base64.b64encode(ED25519 + private.private_bytes_raw()).decode()
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{PRIVATE}+{name}+{public.id.hex()}+{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
        path.with_suffix(".pub").write_text(f"{public}\n")
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _parse(text: str) -> SigningKey:
    try:
        first, second, name, identity, encoded = text.strip().split("+", 4)
        data = base64.b64decode(encoded, validate=True)
        key = SigningKey(name, Ed25519PrivateKey.from_private_bytes(data[1:]))
        if f"{first}+{second}" != PRIVATE or data[:1] != ED25519 or key.public.id.hex() != identity:
            raise ValueError
    except ValueError as error:
        raise KeyUnusable("The signing key is damaged: bring it back from where keys are kept.") from error
    return key
