"""Notes and checkpoints: the format's own examples are read, and nothing is read in two spellings."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.audit.notes import BadNote, Checkpoint, Note, Signature

SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def test_a_checkpoint_is_read_and_printed_as_it_was() -> None:
    note = Note.parse(SOFA)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert [signature.name for signature in note.signatures] == [checkpoint.origin, "witness.example.com/w1"]
    assert str(note) == SOFA
    assert str(checkpoint) == note.text


@pytest.mark.parametrize(
    "change",
    [
        ("\n20852163\n", "\n020852163\n"),
        ("\n20852163\n", "\n+20852163\n"),
        ("\n20852163\n", "\n20852163 \n"),
        ("\n20852163\n", "\n２０852163\n"),
        ("q2I=", "q2J="),  # bits that no byte uses
        ("q2I=", "q2I"),
        ("q2I=\n", "q2I=\nmore\n"),
        ("q2I=", "q2I=\r"),
        ("example.com/behind-the-sofa\n2", "example.com/behind the-sofa\n2"),
        ("— example", "- example"),
        ("— example", "—  example"),
        ("YQ8=\n", "YQ9=\n"),
        ("nA==\n", "nA==\n\n"),
        ("nA==\n", "nA=="),
        ("q2I=\n\n", "q2I=\n"),
    ],
)
def test_another_spelling_is_no_checkpoint(change: tuple[str, str]) -> None:
    assert change[0] in SOFA
    with pytest.raises(BadNote):
        Checkpoint.parse(Note.parse(SOFA.replace(*change, 1)).text)


names = st.text(st.characters(codec="utf-8", exclude_characters="+"), min_size=1).filter(
    lambda name: not any(character.isspace() or character < " " for character in name)
)


@given(names, st.integers(0, 10**18), st.binary(min_size=32, max_size=32), st.binary(min_size=5, max_size=80))
def test_what_is_printed_is_parsed_to_the_same(name: str, size: int, root: bytes, signed: bytes) -> None:
    checkpoint = Checkpoint(name, size, root)
    note = Note(str(checkpoint), (Signature(name, signed[:4], signed[4:]),))
    assert Note.parse(str(note)) == note
    assert Checkpoint.parse(note.text) == checkpoint


@given(st.integers(0, len(SOFA.encode()) * 8 - 1))
def test_whatever_is_read_prints_as_it_was_written(bit: int) -> None:
    data = bytearray(SOFA.encode())
    data[bit // 8] ^= 1 << bit % 8
    try:
        written = data.decode()
        note = Note.parse(written)
        checkpoint = Checkpoint.parse(note.text)
    except (UnicodeDecodeError, BadNote):
        return
    assert f"{checkpoint}\n{''.join(map(str, note.signatures))}" == written != SOFA


def test_a_text_with_empty_lines_ends_at_the_last_of_them() -> None:
    signed = base64.b64encode(b"keys" + b"signed").decode()
    note = Note.parse(f"above\n\nbelow\n\n— somebody {signed}\n")
    assert note.text == "above\n\nbelow\n"
