"""The tree of RFC 6962: the vectors that its implementations share, and what holds for every tree."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.audit.merkle import (
    BadProof,
    Frontier,
    check_consistency,
    consistency,
    inclusion,
    leaf_hash,
    root_by_inclusion,
    root_of,
    tree_of,
)

DATA = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
LEAVES = [leaf_hash(bytes.fromhex(data)) for data in DATA]
ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = {(0, 8): [A, B, C], (5, 8): [D, E, ROOTS[4]], (2, 3): [ROOTS[2]]}
CONSISTENCY = {(1, 8): [A, B, C], (6, 8): [F, E, ROOTS[4]], (2, 5): [B, D], (4, 8): [C]}

trees = st.integers(1, 70).map(lambda size: [leaf_hash(bytes([number])) for number in range(size)])


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_other_implementations(size: int) -> None:
    assert root_of(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("case", "proof"), INCLUSION.items())
def test_proofs_of_inclusion_are_theirs(case: tuple[int, int], proof: list[str]) -> None:
    index, size = case
    made = inclusion(index, LEAVES[:size])
    assert [node.hex() for node in made] == proof
    assert root_by_inclusion(index, size, LEAVES[index], made).hex() == ROOTS[size]


@pytest.mark.parametrize(("case", "proof"), CONSISTENCY.items())
def test_proofs_of_consistency_are_theirs(case: tuple[int, int], proof: list[str]) -> None:
    old, size = case
    made = consistency(old, LEAVES[:size])
    assert [node.hex() for node in made] == proof
    check_consistency(old, bytes.fromhex(ROOTS[old]), size, bytes.fromhex(ROOTS[size]), made)


@given(trees, st.data())
def test_every_leaf_is_proven_and_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = inclusion(index, leaves), root_of(leaves)
    assert root_by_inclusion(index, len(leaves), leaves[index], proof) == root
    assert not _proves(root, index, len(leaves), leaf_hash(b"another"), proof)
    for wrong in ([*proof, root], proof[:-1] if proof else [root]):
        assert not _proves(root, index, len(leaves), leaves[index], wrong)
    assert not _proves(root, index + 1, len(leaves), leaves[index], proof)


def _proves(root: bytes, index: int, size: int, leaf: bytes, proof: list[bytes]) -> bool:
    try:
        return root_by_inclusion(index, size, leaf, proof) == root
    except BadProof:
        return False


@given(trees, st.data())
def test_a_tree_that_grew_is_proven_and_a_changed_one_never(leaves: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(leaves)))
    proof, before, root = consistency(old, leaves), root_of(leaves[:old]), root_of(leaves)
    check_consistency(old, before, len(leaves), root, proof)
    changed = leaves.copy()
    changed[data.draw(st.integers(0, old - 1))] = leaf_hash(b"another")
    for wrong in (
        (old, root_of(changed[:old]), len(leaves), root, proof),
        (old, before, len(leaves), root_of(changed), consistency(old, changed)),
        (old, before, len(leaves), root, [*proof, root]),
        (len(leaves) + 1, before, len(leaves), root, proof),
    ):
        with pytest.raises(BadProof):
            check_consistency(*wrong)


@given(trees, st.data())
def test_a_tree_goes_on_from_its_frontier(leaves: list[bytes], data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(leaves)))
    kept = tree_of(leaves[:size]).dump()
    tree = Frontier.load(size, kept)
    for leaf in leaves[size:]:
        tree.append(leaf)
    assert tree.root() == root_of(leaves)
    with pytest.raises(BadProof):
        Frontier.load(size + 1 if size % 2 == 0 else size - 1, kept)


def test_there_is_no_proof_for_what_is_not_there() -> None:
    for index in (-1, 8):
        with pytest.raises(IndexError):
            inclusion(index, LEAVES)
    for old in (0, 9):
        with pytest.raises(IndexError):
            consistency(old, LEAVES)
