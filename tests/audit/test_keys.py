"""The site's signing key: made once, its owner's alone, and notes that nobody else can make."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from muniment.audit.keys import BadNote, KeyUnusable, PublicKey, signing_key

TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
# The public example of the format: made by another implementation.
PETER = PublicKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
SIGNED = f"{TEXT}\n— PeterNeumann {SIGNATURE}\n"


def test_a_note_of_another_implementation_is_checked() -> None:
    assert PETER.check(SIGNED) == TEXT


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    key = signing_key(tmp_path)
    assert signing_key(tmp_path).public == key.public
    assert oct((tmp_path / "site.key").stat().st_mode)[-3:] == "600"
    assert PublicKey.parse((tmp_path / "site.pub").read_text()) == key.public
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site.key", "site.pub"]


def test_what_is_signed_is_checked(tmp_path: Path) -> None:
    key = signing_key(tmp_path)
    assert key.public.check(key.sign(TEXT)) == TEXT


@pytest.mark.parametrize("change", ["text", "signature", "name", "nothing signed"])
def test_a_changed_note_is_refused(tmp_path: Path, change: str) -> None:
    key = signing_key(tmp_path)
    note = key.sign(TEXT)
    text, _, line = note.rpartition("\n\n")
    encoded = line.split()[-1]
    raw = bytearray(base64.b64decode(encoded))
    raw[-1] ^= 1
    changed = {
        "text": note.replace("answer", "questio"),
        "signature": note.replace(encoded, base64.b64encode(raw).decode()),
        "name": note.replace(key.name, "somebody"),
        "nothing signed": f"{text}\n",
    }[change]
    with pytest.raises(BadNote):
        key.public.check(changed)


def test_another_key_s_note_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with pytest.raises(BadNote):
        signing_key(tmp_path / "a").public.check(signing_key(tmp_path / "b").sign(TEXT))


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    signing_key(tmp_path)
    (tmp_path / "site.key").chmod(0o640)
    with pytest.raises(KeyUnusable, match="mode 600"):
        signing_key(tmp_path)


@pytest.mark.parametrize("damage", ["", "PRIVATE+KEY", "PRIVATE+KEY+a+b+c", "PRIVATE+KEY+a+00000000+AQ=="])
def test_a_damaged_key_is_said(tmp_path: Path, damage: str) -> None:
    (tmp_path / "site.key").write_text(damage)
    (tmp_path / "site.key").chmod(0o600)
    with pytest.raises(KeyUnusable, match="damaged"):
        signing_key(tmp_path)
    with pytest.raises(KeyUnusable):
        PublicKey.parse(damage)
