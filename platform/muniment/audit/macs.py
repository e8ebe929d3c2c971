"""A code beside each event that shows that the application wrote it: HMAC-SHA256 of the body under its key.

Who can write to the database but not read the data folder cannot make one. The file holds a key a line, in
hexadecimal: the first makes codes, all of them check codes, for an installation that moves brings its own.
"""

from __future__ import annotations

import hmac
import os
import secrets
from functools import cache
from pathlib import Path

from django.conf import settings

FILE = "audit.mac"
KEY_BYTES = 32


class MacKeyUnusable(Exception):
    """The file of the key cannot be read or holds none; the message says what to do."""


def mac(body: bytes) -> bytes:
    """Raises MacKeyUnusable."""
    return _mac(_keys(_place())[0], body)


def fits(body: bytes, code: bytes) -> bool:
    """Whether one of the keys made the code. Raises MacKeyUnusable."""
    return any(hmac.compare_digest(_mac(key, body), code) for key in _keys(_place()))


def adopt(text: str) -> None:
    """Check codes by the keys of another installation as well. Raises MacKeyUnusable and OSError."""
    path = _place()
    ours, theirs = _keys(path), _parsed(text)
    if new := [key for key in theirs if key not in ours]:
        _write(path, [*ours, *new], replace=True)
        _keys.cache_clear()


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")


def _place() -> Path:
    return Path(settings.DATA_DIR) / FILE


@cache
def _keys(path: Path) -> list[bytes]:
    try:
        if not path.exists():
            _write(path, [secrets.token_bytes(KEY_BYTES)])
        if path.stat().st_mode & 0o077:
            raise MacKeyUnusable(
                f"Others can read {path.name}: give it the mode 600, and think of a new key."
            )
        return _parsed(path.read_text())
    except OSError as error:
        raise MacKeyUnusable(f"The key {path.name} cannot be read ({error.strerror}).") from error


def _parsed(text: str) -> list[bytes]:
    try:
        keys = [bytes.fromhex(line) for line in text.split()]
    except ValueError:
        keys = []
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise MacKeyUnusable(f"The key {FILE} is damaged: bring it back from where keys are kept.")
    return keys


def _write(path: Path, keys: list[bytes], replace: bool = False) -> None:
    """Two processes that make a key at once end with one."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{key.hex()}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    try:
        if replace:
            fresh.replace(path)
        else:
            os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
