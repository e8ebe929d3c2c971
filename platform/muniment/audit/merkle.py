"""The Merkle tree of RFC 6962 over SHA-256: roots, and proofs that a leaf is in, or that a tree only grew.

Hashes are 32 bytes. Lists of leaves hold the leaves' hashes, in the order of the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


class BadProof(Exception):
    """The proof does not lead to the root."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """What must be known of a tree to go on with it: the roots of its full subtrees, the largest first.

    There is one for each bit that is set in `size`, so at most 64.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        node, size = leaf, self.size
        while size & 1:
            node = node_hash(self.peaks.pop(), node)
            size >>= 1
        self.peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def dump(self) -> bytes:
        return b"".join(self.peaks)

    @classmethod
    def load(cls, size: int, dumped: bytes) -> Frontier:
        """Raises BadProof where there are not as many hashes as a tree of that size has."""
        peaks = [dumped[start : start + HASH_BYTES] for start in range(0, len(dumped), HASH_BYTES)]
        if len(dumped) != HASH_BYTES * size.bit_count():
            raise BadProof("These are not the subtrees of a tree of that size.")
        return cls(size, peaks)


def tree_of(leaves: Iterable[bytes]) -> Frontier:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree


def root_of(leaves: Iterable[bytes]) -> bytes:
    return tree_of(leaves).root()


def _split(size: int) -> int:
    """The largest power of two that is smaller than the size."""
    return 1 << (size - 1).bit_length() - 1


def inclusion(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The hashes beside the way from a leaf to the root, the leaf's neighbour first."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    proof: list[bytes] = []
    start, end = 0, len(leaves)
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(root_of(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_of(leaves[start:middle]))
            start = middle
    return proof[::-1]


def consistency(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """What shows that the tree of the first `old` leaves is the beginning of the whole one."""
    if not 0 < old <= len(leaves):
        raise IndexError(old)
    proof: list[bytes] = []
    start, end, whole = 0, len(leaves), True
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(root_of(leaves[middle:end]))
            end = middle
        else:
            proof.append(root_of(leaves[start:middle]))
            start, whole = middle, False
    if not whole:
        proof.append(root_of(leaves[start:end]))
    return proof[::-1]


def root_by_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root to which the proof leads from a leaf. Raises BadProof where it is too long or too short."""
    if not 0 <= index < size:
        raise BadProof("There is no such leaf in the tree.")
    node, position, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            raise BadProof("The proof is too long.")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    if last:
        raise BadProof("The proof is too short.")
    return node


def check_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raises BadProof unless the tree of `old` leaves is shown to be the beginning of the other."""
    if old == size:
        if proof or old_root != root:
            raise BadProof("Two trees of one size differ.")
        return
    if not 0 < old < size:
        raise BadProof("The older tree is not the smaller one.")
    hashes = list(proof) if old & (old - 1) else [old_root, *proof]
    if not hashes:
        raise BadProof("The proof is too short.")
    position, last = old - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise BadProof("The proof is too long.")
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        position, last = position >> 1, last >> 1
    if last or before != old_root or after != root:
        raise BadProof("The older tree is not the beginning of the newer one.")
