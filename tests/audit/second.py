"""A second verifier, written apart from the first: Ed25519 and Merkle trees straight from their RFCs.

Slow and short. It says whether a bundle is whole, not what is wrong with it. Only the standard library.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = tuple[int, int, int, int]


def _recover(y: int, sign: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P or y >= P or (x == 0 and sign):
        raise ValueError("no point of the curve")
    return P - x if x & 1 != sign else x


def _point(data: bytes) -> Point:
    number = int.from_bytes(data, "little")
    y = number & (1 << 255) - 1
    x = _recover(y, number >> 255)
    return x, y, 1, x * y % P


def _sum(a: Point, b: Point) -> Point:
    left, right = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    c, d = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = right - left, d - c, d + c, right + left
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(factor: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            result = _sum(result, point)
        point, factor = _sum(point, point), factor >> 1
    return result


_Y = 4 * pow(5, P - 2, P) % P
_X = _recover(_Y, 0)
BASE: Point = (_X, _Y, 1, _X * _Y % P)


def signed_by(public: bytes, message: bytes, signature: bytes) -> bool:
    """Ed25519 as in RFC 8032, 5.1.7."""
    if len(public) != 32 or len(signature) != 64:
        return False
    try:
        a, r = _point(public), _point(signature[:32])
    except ValueError:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    one, two = _times(s, BASE), _sum(r, _times(h, a))
    return (one[0] * two[2] - two[0] * one[2]) % P == 0 == (one[1] * two[2] - two[1] * one[2]) % P


def root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + root(leaves[:k]) + root(leaves[k:])).digest()


def is_whole(folder: Path) -> bool:
    try:
        return _whole(folder)
    except (ValueError, KeyError, IndexError, TypeError, OSError, AttributeError):
        return False


def _lines(path: Path) -> list[bytes]:
    *lines, rest = path.read_bytes().split(b"\n")
    if rest:
        raise ValueError("cut short")
    return lines


def _whole(folder: Path) -> bool:
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n"
        for name, path in sorted(files.items())
        if name != "SHA256SUMS"
    )
    if files["SHA256SUMS"].read_bytes() != sums.encode():
        return False
    (line,) = _lines(files["manifest.json"])
    manifest = json.loads(line)
    if json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() != line:
        return False
    keys = [base64.b64decode(key.split(b"+", 2)[2])[1:] for key in _lines(files["keys"])]
    expected = {"SHA256SUMS", "manifest.json", "keys", "site/leaves", "site/checkpoints"}
    notes: list[str] = []
    for log in manifest["logs"]:
        expected |= {f"logs/{log}/{name}" for name in ("leaves", "checkpoints", "numbers", "events.jsonl")}
        notes += _log(folder / "logs" / log, log, keys)
        if not _events(folder / "logs" / log, log, bool(manifest["since"] or manifest["until"])):
            return False
    _log(folder / "site", "site", keys)
    site = [bytes.fromhex(leaf.decode()) for leaf in _lines(folder / "site" / "leaves")]
    sealed = [hashlib.sha256(b"\x00" + note.encode()).digest() for note in notes]
    if len(set(sealed)) != len(sealed) or set(sealed) - set(site) or len(set(site)) != len(site):
        return False
    return expected == set(files) and (not manifest["all_logs"] or set(sealed) == set(site))


def _log(folder: Path, name: str, keys: list[bytes]) -> list[str]:
    """Its checkpoints, each with the right root. Raises ValueError."""
    leaves = [bytes.fromhex(leaf.decode()) for leaf in _lines(folder / "leaves")]
    notes = [json.loads(note) for note in _lines(folder / "checkpoints")]
    sizes = [0]
    for note in notes:
        origin, size, hashed, nothing, signature, end = note.split("\n")
        text = f"{origin}\n{size}\n{hashed}\n".encode()
        dash, signer, encoded = signature.split(" ")
        data = base64.b64decode(encoded, validate=True)
        ids = {hashlib.sha256(f"{origin}\n\x01".encode() + key).digest()[:4]: key for key in keys}
        good = (
            (nothing, end, dash, signer) == ("", "", "—", origin)
            and origin.split("/", 1)[1] == name
            and signed_by(ids[data[:4]], text, data[4:])
            and base64.b64decode(hashed) == root(leaves[: int(size)])
            and sizes[-1] < int(size) <= len(leaves)
        )
        if not good:
            raise ValueError(name)
        sizes.append(int(size))
    if sizes[-1] != len(leaves):
        raise ValueError(name)
    return notes


def _events(folder: Path, log: str, part: bool) -> bool:
    leaves = [leaf.decode() for leaf in _lines(folder / "leaves")]
    numbers, bodies = [int(line) for line in _lines(folder / "numbers")], _lines(folder / "events.jsonl")
    if len(numbers) != len(bodies) or numbers != sorted(set(numbers)):
        return False
    events = [json.loads(body) for body in bodies]
    fit = all(
        hashlib.sha256(b"\x00" + body).hexdigest() == leaves[number]
        for number, body in zip(numbers, bodies, strict=True)
    )
    own = all(event["tenant"] == log for event in events)
    once = len({event["event_id"] for event in events}) == len(events)
    return fit and own and once and (part or len(numbers) == len(leaves))
