"""POST /profile/password, one-time passwords, and `manage.py reset-password`"""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from muniment.accounts.models import Person
from muniment.accounts.services import one_time_password
from tests.factories import PASSWORD
from tests.house import House, events, signed_in

NEW = "another sentence entirely"


def change(client: Client, old: str = PASSWORD, new: str = NEW, again: str | None = None) -> int:
    data = {"old": old, "new": new, "again": new if again is None else again}
    return client.post("/profile/password", data).status_code


def can_sign_in(person: Person, password: str) -> bool:
    response = Client().post("/sign-in", {"username": person.username, "password": password})
    return response.status_code == 302


def test_it_works(house: House) -> None:
    client = signed_in(house.reader)
    assert change(client) == 302
    assert can_sign_in(house.reader, NEW)
    assert not can_sign_in(house.reader, PASSWORD)
    assert len(events("person.password_changed")) == 1


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("not the present one", NEW, NEW),
        (PASSWORD, NEW, "something else here"),
        (PASSWORD, "short", "short"),
        (PASSWORD, "password1234", "password1234"),
        (PASSWORD, PASSWORD, PASSWORD),
        (PASSWORD, "", ""),
    ],
    ids=["wrong present", "not the same", "short", "common", "unchanged", "empty"],
)
def test_it_is_refused(house: House, old: str, new: str, again: str) -> None:
    client = signed_in(house.reader)
    assert change(client, old, new, again) == 422
    assert can_sign_in(house.reader, PASSWORD)
    assert not events("person.password_changed")


def test_the_own_name_is_no_password(house: House) -> None:
    Person.objects.filter(pk=house.reader.pk).update(username="mara.kestrel.field")
    assert change(signed_in(Person.objects.get(pk=house.reader.pk)), new="mara.kestrel.field") == 422


def test_with_a_one_time_password_nothing_else_is_open(house: House) -> None:
    Person.objects.filter(pk=house.reader.pk).update(must_change_password=True)
    client = signed_in(house.reader)
    for page in ("/", "/profile", "/search", "/documents/"):
        assert client.get(page).headers["Location"] == "/profile/password"
    as_json = client.get("/", headers={"accept": "application/json"})
    assert (as_json.status_code, as_json.json()["code"]) == (403, "own_password_first")
    assert "works once" in client.get("/profile/password").content.decode()
    assert change(client) == 302
    assert client.get("/profile").status_code == 200


def test_reset_by_command(house: House) -> None:
    out = StringIO()
    call_command("reset-password", house.reader.username, stdout=out)
    found = re.search(r"password: (\S+)", out.getvalue())
    assert found
    assert not can_sign_in(house.reader, PASSWORD)
    assert can_sign_in(house.reader, found[1])
    assert Person.objects.get(pk=house.reader.pk).must_change_password
    (body,) = events("person.password_reset")
    assert body["actor"]["kind"] == "cli"
    assert set(body["commitments"]) == {"username", "account"}


def test_reset_by_command_of_nobody(db: None) -> None:
    with pytest.raises(CommandError, match="nobody of this name"):
        call_command("reset-password", "nobody-here")


def test_one_time_passwords_differ_and_are_long() -> None:
    made = {one_time_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", password) for password in made)
