#!/usr/bin/env python3
"""muniment-verify: whether an exported trail is whole, by somebody who does not trust who exported it.

    muniment-verify BUNDLE [--key KEY] [--witness FILE]     a folder that `manage.py audit export` wrote
    muniment-verify PROOF [--key KEY]                       a file that `manage.py audit prove` wrote
    muniment-verify witness FOLDER BUNDLE [--new-key KEY]   keep the largest tree that was seen, and cosign it

KEY is the log's fingerprint, its public key, or a file that holds one of them. Ends with 0 where everything
is whole, with 1 where it is not, and says which event is the first that is bad.

This one file runs anywhere with Python 3.11 and the package `cryptography`. It shares no code with the
program that writes the log, so that a mistake there is found here.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FORMAT = 1
SITE = "site"
SUMS, MANIFEST, KEYS = "SHA256SUMS", "manifest.json", "keys"
LOG_FILES = ("checkpoints", "events.jsonl", "leaves", "numbers")
SITE_FILES = ("checkpoints", "leaves")
MANIFEST_FIELDS = {"format", "app_version", "made_at", "logs", "all_logs", "since", "until"}
SIGNED, COSIGNED = b"\x01", b"\x04"
PROOF = "c2sp.org/tlog-proof@v1"
PIECE = 1 << 20

Read = Callable[[str], Iterator[bytes]]


class NotWholeError(Exception):
    """What is wrong, and with which event first."""


@dataclass(frozen=True)
class Key:
    """A public key of a log, known by its first name; it signs under the names of all logs."""

    name: str
    raw: bytes

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(SIGNED + self.raw).hexdigest()[:32]
        return "-".join(re.findall("....", digest))

    def id(self, name: str) -> bytes:
        return hashlib.sha256(name.encode() + b"\n" + SIGNED + self.raw).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id(self.name).hex()}+{base64.b64encode(SIGNED + self.raw).decode()}"


@dataclass(frozen=True)
class Checkpoint:
    """A signed one: `text` is what was signed, `key` who signed."""

    origin: str
    size: int
    root: bytes
    text: str
    note: str
    key: Key


@dataclass
class Tree:
    """A Merkle tree that grows: the roots of its full subtrees, the smallest last."""

    size: int = 0
    stack: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, leaf: bytes) -> None:
        height, node = 0, leaf
        while self.stack and self.stack[-1][0] == height:
            node = _parent(self.stack.pop()[1], node)
            height += 1
        self.stack.append((height, node))
        self.size += 1

    def root(self) -> bytes:
        if not self.stack:
            return hashlib.sha256().digest()
        node = self.stack[-1][1]
        for _height, left in self.stack[-2::-1]:
            node = _parent(left, node)
        return node


@dataclass
class Found:
    """What a bundle holds; `key` signed the newest checkpoint of the site's log."""

    events: int = 0
    leaves: int = 0
    logs: int = 0
    checkpoints: int = 0
    others: int = 0
    key: Key | None = None
    newest: Checkpoint | None = None
    roots: dict[int, bytes] = field(default_factory=dict)


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _leaf(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


# Reading, strictly: nothing may be written in two ways.


def read_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data or base64.b64encode(data).decode() != text:
        raise NotWholeError(f"{text[:80]!r} is not base 64 as it is written here")
    return data


def read_key(text: str) -> Key:
    parts = text.split("+", 2)
    if len(parts) != 3 or not parts[0] or any(character.isspace() for character in parts[0]):
        raise NotWholeError(f"{text[:80]!r} is no public key")
    data = read_base64(parts[2])
    key = Key(parts[0], data[1:])
    if data[:1] != SIGNED or len(key.raw) != 32 or str(key) != text:
        raise NotWholeError(f"{text[:80]!r} is no public key")
    return key


def read_checkpoint(note: str, keys: Iterable[Key]) -> Checkpoint:
    """A checkpoint that one of the keys signed, and nobody but witnesses besides."""
    text, _, lines = note.rpartition("\n\n")
    match = re.fullmatch(r"([^\s+]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)", text, re.ASCII)
    if not match or not lines.endswith("\n"):
        raise NotWholeError("a checkpoint is not written as checkpoints are")
    origin, size, root = match.groups()
    text += "\n"
    signers = []
    for line in lines[:-1].split("\n"):
        mark, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if mark != "—" or not name or any(character.isspace() for character in name):
            raise NotWholeError("a checkpoint is not written as checkpoints are")
        data = read_base64(encoded)
        signers += [key for key in keys if name == origin and _signed(key, origin, data, text)]
    if not signers:
        raise NotWholeError(f"the checkpoint of size {size} of {origin} is not signed by a key of the log")
    return Checkpoint(origin, int(size), read_base64(root), text, note, signers[0])


def _signed(key: Key, name: str, data: bytes, text: str) -> bool:
    if data[:4] != key.id(name):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(data[4:], text.encode())
    except InvalidSignature:
        raise NotWholeError(
            "a checkpoint was changed after it was signed: its signature does not fit"
        ) from None
    return True


def read_json(data: bytes, what: str) -> Any:
    """What is written as this program would write it."""
    try:
        value = json.loads(data)
    except ValueError:
        raise NotWholeError(f"{what} is no JSON") from None
    if written(value) != data:
        raise NotWholeError(f"{what} is not written as it is written here")
    return value


def written(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        errors="surrogatepass"
    )


# A log: its leaves, the events that they stand for, and its checkpoints, side by side.


def check_log(read: Read, tenant: str, keys: list[Key], part: bool, found: Found) -> dict[bytes, int]:
    """Compare a tenant's log with itself; gives the hashes of its checkpoints, and their sizes.

    `part` says that only some events are in the bundle; of the others there are the leaves.
    """
    folder = f"logs/{tenant}"
    events = _numbered(read, folder, tenant)
    event = next(events, None)
    seen: set[str] = set()
    checkpoints = _checkpoints(read, folder, keys)
    following = next(checkpoints, None)
    tree, sealed, hashes = Tree(), 0, {}
    for number, leaf in enumerate(_hashes(read, f"{folder}/leaves")):
        if event is not None and event[0] == number:
            _check_event(event, leaf, tenant, seen)
            found.events += 1
            event = next(events, None)
        elif not part:
            raise NotWholeError(f"event number {number} of the log {tenant} is missing")
        tree.add(leaf)
        while following is not None and following.size == tree.size:
            _check_root(following, tree, tenant, sealed)
            hashes[_leaf(following.note.encode())] = following.size
            sealed, following = tree.size, next(checkpoints, None)
    if event is not None:
        raise NotWholeError(f"event number {event[0]} is not in the log {tenant}")
    _require_end(tree, following, sealed, tenant)
    found.checkpoints += len(hashes)
    found.leaves += tree.size
    found.logs += 1
    return hashes


def _numbered(read: Read, folder: str, tenant: str) -> Iterator[tuple[int, bytes]]:
    bodies, last = read(f"{folder}/events.jsonl"), -1
    for line in read(f"{folder}/numbers"):
        if not re.fullmatch(rb"0|[1-9][0-9]{0,18}", line) or int(line) <= last:
            raise NotWholeError(f"the numbers of the events of {tenant} do not count up after {last}")
        last = int(line)
        body = next(bodies, None)
        if body is None:
            raise NotWholeError(f"event number {last} of the log {tenant} is missing")
        yield last, body
    if next(bodies, None) is not None:
        raise NotWholeError(f"an event of the log {tenant} after number {last} has no number")


def _check_event(event: tuple[int, bytes], leaf: bytes, tenant: str, seen: set[str]) -> None:
    number, body = event
    name = f"event number {number} of the log {tenant}"
    if _leaf(body) != leaf:
        raise NotWholeError(f"{name}{_called(body)} is not the one that was sealed")
    try:
        value = json.loads(body)
        identity, owner = str(value["event_id"]), value["tenant"]
    except (ValueError, KeyError, TypeError):
        raise NotWholeError(f"{name} is no event") from None
    if owner != tenant:
        raise NotWholeError(f"{name} ({identity}) is of another log")
    if identity in seen:
        raise NotWholeError(f"{name} ({identity}) is there twice")
    seen.add(identity)


def _called(body: bytes) -> str:
    found = re.search(rb'"event_id":"([0-9a-f-]{36})"', body)
    return f" ({found[1].decode()})" if found else ""


def _check_root(signed: Checkpoint, tree: Tree, tenant: str, sealed: int) -> None:
    if signed.root != tree.root():
        raise NotWholeError(
            f"events number {sealed} to {tree.size - 1} of the log {tenant} are not those that were signed"
        )


def _require_end(tree: Tree, following: Checkpoint | None, sealed: int, tenant: str) -> None:
    if following is not None:
        raise NotWholeError(
            f"event number {tree.size} of the log {tenant} is missing: a checkpoint of size {following.size} "
            "was signed"
        )
    if sealed != tree.size:
        raise NotWholeError(f"event number {sealed} of the log {tenant} is under no checkpoint")


def _hashes(read: Read, name: str) -> Iterator[bytes]:
    for number, line in enumerate(read(name)):
        if not re.fullmatch(rb"[0-9a-f]{64}", line):
            raise NotWholeError(f"number {number} in {name} is no hash")
        yield bytes.fromhex(line.decode())


def _checkpoints(read: Read, folder: str, keys: list[Key]) -> Iterator[Checkpoint]:
    """In the order of their sizes, all of one log."""
    last: Checkpoint | None = None
    for line in read(f"{folder}/checkpoints"):
        note = read_json(line, f"a line of {folder}/checkpoints")
        if not isinstance(note, str):
            raise NotWholeError(f"a line of {folder}/checkpoints is no checkpoint")
        checkpoint = read_checkpoint(note, keys)
        if checkpoint.origin.partition("/")[2] != folder.rpartition("/")[2]:
            raise NotWholeError(f"{folder} holds a checkpoint of another log, {checkpoint.origin}")
        if last and (checkpoint.size <= last.size or checkpoint.origin != last.origin):
            raise NotWholeError(f"the checkpoints in {folder} do not follow each other at size {last.size}")
        if not last and checkpoint.size == 0:
            raise NotWholeError(f"{folder} holds a checkpoint of nothing")
        last = checkpoint
        yield checkpoint


def check_site(read: Read, keys: list[Key], hashes: dict[bytes, str], everything: bool, found: Found) -> None:
    """The site's log: its leaves are the checkpoints of all logs, each once."""
    left = dict(hashes)
    checkpoints = _checkpoints(read, SITE, keys)
    following = next(checkpoints, None)
    tree, sealed = Tree(), 0
    for number, leaf in enumerate(_hashes(read, f"{SITE}/leaves")):
        if left.pop(leaf, None) is None:
            found.others += 1
            if everything:
                raise NotWholeError(f"a checkpoint is missing that the site's log holds as number {number}")
        tree.add(leaf)
        while following is not None and following.size == tree.size:
            if following.root != tree.root():
                raise NotWholeError(
                    f"numbers {sealed} to {tree.size - 1} of the site's log are not those that were signed"
                )
            found.roots[tree.size] = following.root
            found.newest, found.key = following, following.key
            sealed, following = tree.size, next(checkpoints, None)
            found.checkpoints += 1
    for where in left.values():
        raise NotWholeError(f"{where} is not in the site's log")
    _require_end(tree, following, sealed, SITE)


def check(read: Read) -> Found:
    """Everything that a bundle says of itself."""
    manifest = _manifest(read)
    keys = [read_key(_text(line)) for line in read(KEYS)]
    if len({key.raw for key in keys}) != len(keys):
        raise NotWholeError("a key is there twice")
    found = Found()
    part = manifest["since"] is not None or manifest["until"] is not None
    hashes: dict[bytes, str] = {}
    for tenant in manifest["logs"]:
        for digest, size in check_log(read, tenant, keys, part, found).items():
            hashes[digest] = f"the checkpoint of size {size} of the log {tenant}"
    check_site(read, keys, hashes, manifest["all_logs"], found)
    return found


def _manifest(read: Read) -> dict[str, Any]:
    lines = list(read(MANIFEST))
    manifest = read_json(lines[0], MANIFEST) if len(lines) == 1 else None
    if not isinstance(manifest, dict) or manifest.keys() != MANIFEST_FIELDS:
        raise NotWholeError(f"{MANIFEST} is not the list of what is in the bundle")
    if manifest["format"] != FORMAT:
        raise NotWholeError(f"the bundle has format {manifest['format']}, and this program knows {FORMAT}")
    logs = manifest["logs"]
    named = isinstance(logs, list) and all(isinstance(log, str) and _is_uuid(log) for log in logs)
    if not named or logs != sorted(set(logs)) or not isinstance(manifest["all_logs"], bool):
        raise NotWholeError(f"{MANIFEST} is not the list of what is in the bundle")
    return manifest


def _is_uuid(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text))


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise NotWholeError("a file holds what is no text") from None


# A bundle in a folder.


def in_folder(folder: Path) -> Read:
    """The lines of a file, without their ends; a file without a line's end at its end was cut."""

    def read(name: str) -> Iterator[bytes]:
        try:
            with (folder / name).open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        raise NotWholeError(f"{name} was cut short")
                    yield line[:-1]
        except OSError as error:
            raise NotWholeError(f"{name} cannot be read ({error.strerror})") from None

    return read


def check_sums(folder: Path) -> None:
    """Every file is listed with its hash, and none is there besides."""
    listed: dict[str, str] = {}
    for line in in_folder(folder)(SUMS):
        match = re.fullmatch(r"([0-9a-f]{64})  ([A-Za-z0-9./-]+)", _text(line), re.ASCII)
        if not match or match[2] in listed:
            raise NotWholeError(f"{SUMS} is not written as it is written here")
        listed[match[2]] = match[1]
    if list(listed) != sorted(listed):
        raise NotWholeError(f"{SUMS} is not in order")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    for name in sorted(there ^ {*listed, SUMS}):
        raise NotWholeError(f"{name} is {'not listed' if name in there else 'missing'}")
    for name, digest in listed.items():
        if sha256_of(folder / name) != digest:
            raise NotWholeError(f"{name} does not have the hash that {SUMS} lists")


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()


def check_bundle(folder: Path) -> Found:
    """Events first, so that the first bad one is named; then that not one other bit was changed."""
    found = check(in_folder(folder))
    manifest = _manifest(in_folder(folder))
    expected = {MANIFEST, KEYS, *(f"{SITE}/{name}" for name in SITE_FILES)}
    expected |= {f"logs/{log}/{name}" for log in manifest["logs"] for name in LOG_FILES}
    check_sums(folder)
    listed = {_text(line).partition("  ")[2] for line in in_folder(folder)(SUMS)}
    for name in sorted(listed ^ expected):
        raise NotWholeError(f"{name} does not belong to the bundle")
    return found


# One event.


def check_proof(text: str) -> tuple[Checkpoint, dict[str, Any], int]:
    """A proof of one event: its checkpoint, the event and its number."""
    head, gap, note = text.partition("\n\n")
    lines = head.split("\n")
    if len(lines) < 3 or not gap or lines[0] != PROOF or not lines[1].startswith("extra "):
        raise NotWholeError("this is no proof of an event")
    extra = read_json(read_base64(lines[1][6:]), "what the proof is about")
    if not isinstance(extra, dict) or extra.keys() != {"event", "key"}:
        raise NotWholeError("this is no proof of an event")
    if not all(isinstance(value, str) for value in extra.values()):
        raise NotWholeError("this is no proof of an event")
    index = re.fullmatch(r"index (0|[1-9][0-9]{0,18})", lines[2], re.ASCII)
    if not index:
        raise NotWholeError("the proof names no place in the log")
    checkpoint = read_checkpoint(note, [read_key(extra["key"])])
    body, number = extra["event"].encode(), int(index[1])
    root = _root_from(number, checkpoint.size, _leaf(body), [read_base64(line) for line in lines[3:]])
    if root != checkpoint.root:
        raise NotWholeError("the event is not in the log that was signed")
    event = json.loads(body)
    if checkpoint.origin.partition("/")[2] != event["tenant"]:
        raise NotWholeError("the event is of another log")
    return checkpoint, event, number


def _root_from(number: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """As RFC 9162 2.1.3.2 has it."""
    if number >= size:
        raise NotWholeError("the event's number is beyond the end of the log")
    node, first, last = leaf, number, size - 1
    for sibling in path:
        if last == 0 or len(sibling) != 32:
            raise NotWholeError("the way from the event to the root is too long")
        if first % 2 or first == last:
            node = _parent(sibling, node)
            while first and not first % 2:
                first, last = first // 2, last // 2
        else:
            node = _parent(node, sibling)
        first, last = first // 2, last // 2
    if last:
        raise NotWholeError("the way from the event to the root is too short")
    return node


# Who compares: a key, a witness.


def wanted_key(given: str) -> str:
    """The fingerprint that was given as one, as a public key, or as a file with one of them."""
    path = Path(given)
    text = path.read_text().strip() if path.is_file() else given.strip()
    if re.fullmatch(r"[0-9a-f]{4}(-[0-9a-f]{4}){7}", text):
        return text
    return read_key(text).fingerprint


def require_key(key: Key | None, given: str) -> None:
    wanted = wanted_key(given)
    if key is None or key.fingerprint != wanted:
        signer = key.fingerprint if key else "nobody"
        raise NotWholeError(f"it is signed by {signer}, not by {wanted}")


def require_witnessed(read: Read, found: Found, note: str) -> Checkpoint:
    """The tree that a witness keeps is the beginning of the bundle's."""
    keys = [read_key(_text(line)) for line in read(KEYS)]
    witnessed = read_checkpoint(note, keys)
    newest = found.newest
    if newest is None or newest.size < witnessed.size:
        size = newest.size if newest else 0
        raise NotWholeError(
            f"the site's log has {size} leaves, and the witness saw {witnessed.size}: it went back"
        )
    if newest.origin != witnessed.origin:
        raise NotWholeError(f"the witness saw the log {witnessed.origin}, and this is {newest.origin}")
    tree = Tree()
    for leaf in _hashes(read, f"{SITE}/leaves"):
        if tree.size == witnessed.size:
            break
        tree.add(leaf)
    if tree.root() != witnessed.root:
        raise NotWholeError(
            f"the site's log is another than the one of size {witnessed.size} that the witness saw"
        )
    return witnessed


def witness(folder: Path, bundle: Path, new_key: str | None) -> str:
    """Keep the bundle's newest checkpoint in the folder, cosigned, where it goes on from the one kept there.

    Gives what to say. A log that is signed by another key than before is taken only when it is named.
    """
    read = in_folder(bundle)
    found = check_bundle(bundle)
    if found.newest is None or found.key is None:
        raise NotWholeError("nothing is sealed yet")
    kept = folder / "checkpoint"
    if kept.exists():
        before = require_witnessed(read, found, kept.read_text())
        if before.key != found.key and new_key is None:
            raise NotWholeError(
                f"it is signed by another key than before, {found.key.fingerprint}: find out why, then name "
                "it with --new-key"
            )
    if new_key is not None:
        require_key(found.key, new_key)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cosigned = found.newest.note + _cosignature(folder, found.newest.text)
    fresh = folder / "checkpoint.part"
    fresh.write_text(cosigned)
    with fresh.open() as file:
        os.fsync(file.fileno())
    fresh.replace(kept)
    seen = f"{found.newest.size} leaves of {found.newest.origin}"
    return f"Witnessed {seen}, signed by {found.key.fingerprint}."


def _cosignature(folder: Path, text: str) -> str:
    """By the witness's own key, made the first time (C2SP tlog-cosignature, v1)."""
    path = folder / "witness.key"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw().hex())
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
    public = private.public_key().public_bytes_raw()
    name = f"muniment-witness-{hashlib.sha256(public).hexdigest()[:8]}"
    now = int(time.time())
    signed = private.sign(f"cosignature/v1\ntime {now}\n{text}".encode())
    identity = hashlib.sha256(name.encode() + b"\n" + COSIGNED + public).digest()[:4]
    return f"— {name} {base64.b64encode(identity + now.to_bytes(8, 'big') + signed).decode()}\n"


# The command.


def main(arguments: list[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        said = _witness(given[1:]) if given[:1] == ["witness"] else _verify(given)
    except NotWholeError as problem:
        sys.stdout.write(f"NOT WHOLE: {problem}.\n")
        return 1
    except OSError as problem:
        sys.stdout.write(f"NOT WHOLE: {problem.filename} cannot be used ({problem.strerror}).\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


def _witness(given: list[str]) -> str:
    parser = argparse.ArgumentParser(prog="muniment-verify witness")
    parser.add_argument("folder", type=Path, help="where the witness keeps its key and what it saw")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--new-key", metavar="KEY", help="the log's key changed, and this is the new one")
    options = parser.parse_args(given)
    return witness(options.folder, options.bundle, options.new_key)


def _verify(given: list[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="muniment-verify", epilog="`muniment-verify witness --help` tells how to witness a log."
    )
    parser.add_argument("bundle", type=Path, help="a folder with an exported trail, or a file with one proof")
    parser.add_argument(
        "--key", help="the log's fingerprint, its public key, or a file that holds one of them"
    )
    parser.add_argument("--witness", type=Path, metavar="FILE", help="the checkpoint that a witness keeps")
    options = parser.parse_args(given)
    if options.bundle.is_file():
        return _verify_proof(options.bundle, options.key)
    found = check_bundle(options.bundle)
    if options.key:
        require_key(found.key, options.key)
    if options.witness:
        require_witnessed(in_folder(options.bundle), found, options.witness.read_text())
    counts = f"{found.events} events of {found.logs} logs under {found.checkpoints} checkpoints"
    if found.events < found.leaves:
        counts = f"only {found.events} of {found.leaves} events are here, of the others the hashes; {counts}"
    if found.others:
        counts += f"; {found.others} checkpoints are of other logs"
    return f"{_whole(options.key or options.witness, found.key)}\n{counts}."


def _verify_proof(path: Path, key: str | None) -> str:
    try:
        checkpoint, event, number = check_proof(path.read_text())
    except (ValueError, KeyError, TypeError):
        raise NotWholeError("this is no proof of an event") from None
    if key:
        require_key(checkpoint.key, key)
    told = f"Event {event['event_id']}, {event['action']} at {event['ts']}"
    return f"{_whole(key, checkpoint.key)}\n{told}, is number {number} of {checkpoint.origin}."


def _whole(compared: object, key: Key | None) -> str:
    if key is None:
        return "Whole: nothing is sealed yet."
    if compared:
        return f"Whole. Signed by {key.fingerprint}."
    return f"Whole in itself, signed by {key.fingerprint}: compare it with the one that the desk shows."


if __name__ == "__main__":
    sys.exit(main())
