"""The checkpoint that an officer prints."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
import segno
from django.test import Client

from muniment.audit import actions
from muniment.audit.merkle import root_of
from muniment.audit.models import AuditCheckpoint, AuditLeaf
from muniment.audit.services import record_alone
from muniment.scope import Role
from tests.audit.sealed import Sealer
from tests.factories import make_person, make_tenant, scope_for
from tests.house import House, events, signed_in
from tests.triggers import drop_trigger


@pytest.fixture
def client(house: House) -> Client:
    return signed_in(make_person(house.tenant, roles=[Role.OFFICER]))


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(tmp_path / "seal")


def search(house: House, count: int) -> None:
    for _number in range(count):
        record_alone(scope_for(house.reader), actions.SEARCHED)


def test_it_says_what_was_signed_by_whom(house: House, client: Client, sealer: Sealer) -> None:
    search(house, 3)
    record_alone(scope_for(make_person(make_tenant())), actions.SEARCHED)
    sealer.all()
    shown = client.get("/desk/checkpoint").context["checkpoint"]
    leaves = AuditLeaf.objects.filter(tenant=house.tenant.id).order_by("number")
    root = root_of([bytes(leaf.leaf_hash) for leaf in leaves])
    assert (shown.size, shown.root) == (3, base64.b64encode(root).decode())
    assert shown.origin == f"{sealer.key.name}/{house.tenant.id}"
    assert shown.fingerprint == sealer.key.public.fingerprint
    assert re.fullmatch("[0-9a-f]{4}(-[0-9a-f]{4}){7}", shown.fingerprint)
    assert sealer.key.named(shown.origin).public.check(shown.note).startswith(f"{shown.origin}\n3\n")


def test_everything_stands_on_the_page(house: House, client: Client, sealer: Sealer) -> None:
    search(house, 1)
    sealer.all()
    response = client.get("/desk/checkpoint")
    shown, page = response.context["checkpoint"], response.content.decode()
    for words in (shown.root, shown.fingerprint, shown.origin, *shown.note.split("\n")):
        assert words.replace("+", "&#x2B;") in page or words in page


def test_the_code_is_the_signed_text_as_a_drawing_without_style(
    house: House, client: Client, sealer: Sealer
) -> None:
    search(house, 1)
    sealer.all()
    shown = client.get("/desk/checkpoint").context["checkpoint"]
    assert drawn(str(shown.qr)) == [
        [bool(module) for module in line] for line in segno.make_qr(shown.note.encode(), error="q").matrix
    ]
    assert "style" not in shown.qr
    assert "data:" not in shown.qr


def drawn(svg: str) -> list[list[bool]]:
    """The dark modules that the strokes of a drawing cover, without the quiet zone."""
    match = re.fullmatch(
        r'<svg viewBox="0 0 (\d+) \1" class="qr"><path stroke="#000" d="([^"]*)"/></svg>', svg
    )
    assert match
    width = int(match[1])
    grid = [[False] * width for _row in range(width)]
    x, y = 0, 0.0
    for command, numbers in re.findall(r"([Mmh])([^Mmh]*)", match[2]):
        values = [float(number) for number in re.findall(r"-?\d*\.?\d+", numbers)]
        if command == "h":
            for column in range(x, x + int(values[0])):
                grid[int(y)][column] = True
            x += int(values[0])
        else:
            x, y = (int(values[0]), values[1]) if command == "M" else (x + int(values[0]), y + values[1])
    assert not any(map(any, grid[:4] + grid[-4:]))
    return [row[4:-4] for row in grid[4:-4]]


def test_before_the_first_seal_it_says_so(client: Client) -> None:
    page = client.get("/desk/checkpoint").content.decode()
    assert "Nothing is sealed yet" in page
    assert "<svg viewBox" not in page


def test_the_desk_leads_there_once_something_is_sealed(house: House, client: Client, sealer: Sealer) -> None:
    assert "/desk/checkpoint" not in client.get("/desk/").content.decode()
    sealer.all()
    assert 'href="/desk/checkpoint"' in client.get("/desk/").content.decode()


def test_looking_is_an_event(house: House, client: Client, sealer: Sealer) -> None:
    search(house, 2)
    sealer.all()
    client.get("/desk/checkpoint")
    (viewed,) = events("trail.checkpoint_viewed")
    assert viewed["details"] == {"size": 2}


def test_one_that_was_changed_is_not_printed(house: House, client: Client, sealer: Sealer) -> None:
    search(house, 2)
    sealer.all()
    drop_trigger("audit_checkpoint_no_update")
    row = AuditCheckpoint.objects.get(tenant=house.tenant.id)
    AuditCheckpoint.objects.filter(pk=row.pk).update(note=row.note.replace("\n2\n", "\n1\n"))
    page = client.get("/desk/checkpoint").content.decode()
    assert "The newest checkpoint was changed" in page
    assert "<svg viewBox" not in page
