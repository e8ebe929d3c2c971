"""The desk says how far the trail is sealed, and when sealing stands still."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from muniment.audit import queries
from muniment.scope import Role
from tests.audit.sealed import Sealer
from tests.factories import make_person
from tests.house import House, signed_in


def test_an_officer_sees_what_is_sealed_and_the_fingerprint(house: House, tmp_path: Path) -> None:
    client = signed_in(make_person(house.tenant, roles=[Role.OFFICER]))
    assert "fingerprint" not in client.get("/desk/").content.decode()
    sealer = Sealer(tmp_path / "seal")
    sealer.all()
    page = client.get("/desk/").content.decode()
    assert "The trail is being kept" in page
    assert f"the key of the log has the fingerprint {sealer.key.public.fingerprint}." in page


def test_an_officer_sees_that_nothing_is_sealed_any_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(make_person(house.tenant, roles=[Role.OFFICER]))
    monkeypatch.setattr(queries, "LATE", timedelta())
    page = client.get("/desk/").content.decode()
    assert "Events wait for their seal" in page
    assert "manage.py audit verify" in page
