"""The code beside an event: only who has the key makes one, and without the key nothing is written."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from muniment.audit import actions, macs
from muniment.audit.errors import AuditUnavailable
from muniment.audit.models import AuditEvent
from muniment.audit.services import record_alone
from tests.audit.test_event import a_scope, write


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    macs._keys.cache_clear()
    yield tmp_path
    macs._keys.cache_clear()


def test_an_event_carries_the_code_of_its_body(db: None, folder: Path) -> None:
    event = write(a_scope())
    assert event.row_mac
    key = bytes.fromhex((folder / "audit.mac").read_text())
    assert hmac.digest(key, bytes(event.body), "sha256") == bytes(event.row_mac)
    assert macs.fits(bytes(event.body), bytes(event.row_mac))
    assert not macs.fits(bytes(event.body) + b" ", bytes(event.row_mac))


def test_the_key_is_made_once_for_its_owner_alone(folder: Path) -> None:
    made = macs.mac(b"x")
    macs._keys.cache_clear()
    assert macs.mac(b"x") == made
    assert oct((folder / "audit.mac").stat().st_mode)[-3:] == "600"
    assert [path.name for path in folder.iterdir()] == ["audit.mac"]


@pytest.mark.parametrize("damage", ["", "zz", "00", f"{'00' * 32} 11"])
def test_without_the_key_no_event_is_written(db: None, folder: Path, damage: str) -> None:
    (folder / "audit.mac").write_text(damage)
    (folder / "audit.mac").chmod(0o600)
    with pytest.raises(AuditUnavailable):
        record_alone(a_scope(), actions.SEARCHED)
    assert not AuditEvent.objects.exists()


def test_a_key_that_others_can_read_is_not_used(folder: Path) -> None:
    macs.mac(b"x")
    macs._keys.cache_clear()
    (folder / "audit.mac").chmod(0o640)
    with pytest.raises(macs.MacKeyUnusable, match="mode 600"):
        macs.mac(b"x")


def test_codes_of_an_installation_that_moved_in_are_checked(folder: Path) -> None:
    ours = macs.mac(b"x")
    theirs = b"k" * 32
    for _twice in range(2):
        macs.adopt(f"{theirs.hex()}\n")
    assert macs.mac(b"x") == ours
    assert macs.fits(b"x", hmac.digest(theirs, b"x", "sha256"))
    assert len((folder / "audit.mac").read_text().split()) == 2
