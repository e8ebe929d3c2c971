"""POST /sign-in"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from muniment.accounts.hashers import Argon2
from muniment.accounts.models import FailedSignIn, Person
from muniment.scope import Role
from tests.factories import PASSWORD, make_person, make_tenant
from tests.house import House, events


def try_to_sign_in(client: Client, username: str, password: str = PASSWORD, next_page: str = "") -> int:
    data = {"username": username, "password": password, "next": next_page}
    return client.post("/sign-in", data).status_code


def is_signed_in(client: Client) -> bool:
    return client.get("/profile").status_code == 200


def test_it_works(house: House) -> None:
    client = Client()
    response = client.post("/sign-in", {"username": house.reader.username, "password": PASSWORD})
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert is_signed_in(client)


def test_the_name_may_be_written_in_capitals(house: House) -> None:
    client = Client()
    assert try_to_sign_in(client, f"  {house.reader.username.upper()} ") == 302


def test_it_leaves_an_event_that_names_the_session_but_not_its_key(house: House) -> None:
    client = Client()
    try_to_sign_in(client, house.reader.username)
    (body,) = events("session.signed_in")
    assert UUID(body["actor"]["session_ref"]) == UUID(client.session["ref"])
    assert body["actor"]["auth_method"] == "password"
    assert client.session.session_key not in str(body)


def test_the_session_key_is_new_after_signing_in(house: House) -> None:
    client = Client()
    session = client.session
    session["planted"] = "by somebody else"
    session.save()
    before = session.session_key
    try_to_sign_in(client, house.reader.username)
    assert client.session.session_key != before
    assert not Session.objects.filter(pk=before).exists()


def test_it_leads_back_to_where_the_person_wanted_to_go(house: House) -> None:
    client = Client()
    wanted = client.get("/search?q=water").headers["Location"]
    assert wanted == "/sign-in?next=%2Fsearch%3Fq%3Dwater"
    page = client.get(wanted)
    assert page.context["form"].initial["next"] == "/search?q=water"
    data = {"username": house.reader.username, "password": PASSWORD, "next": "/search?q=water"}
    assert client.post("/sign-in", data).headers["Location"] == "/search?q=water"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "evil",
        "///evil.example",
    ],
)
def test_it_leads_nowhere_else(house: House, elsewhere: str) -> None:
    data = {"username": house.reader.username, "password": PASSWORD, "next": elsewhere}
    assert Client().post("/sign-in", data).headers["Location"] == "/"


def test_an_officer_comes_to_the_desk(house: House) -> None:
    officer = make_person(house.tenant, roles=[Role.OFFICER])
    response = Client().post("/sign-in", {"username": officer.username, "password": PASSWORD})
    assert response.headers["Location"] == "/desk/"


def test_wrong_password_unknown_name_and_deactivated_person_get_the_same_answer(house: House) -> None:
    Person.objects.filter(pk=house.clerk.pk).update(is_active=False)
    tries = [(house.reader.username, "wrong"), ("nobody-here", PASSWORD), (house.clerk.username, PASSWORD)]
    answers = []
    for username, password in tries:
        client = Client()
        response = client.post("/sign-in", {"username": username, "password": password})
        assert not is_signed_in(client)
        token = response.context["csrf_token"]
        answers.append(
            (response.status_code, response.content.decode().replace(str(token), "").replace(username, ""))
        )
    assert len(set(answers)) == 1
    assert answers[0][0] == 422


def test_each_of_them_costs_one_password_hash(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash is what takes time; a clock would say the same less reliably."""
    Person.objects.filter(pk=house.clerk.pk).update(is_active=False)
    hashed: list[str] = []
    for name in ("encode", "verify"):
        real = getattr(Argon2, name)
        monkeypatch.setattr(
            Argon2, name, lambda self, *args, real=real, name=name: hashed.append(name) or real(self, *args)
        )
    for username in (house.reader.username, "nobody-here", house.clerk.username):
        hashed.clear()
        try_to_sign_in(Client(), username, "wrong")
        assert len(hashed) == 1


def test_a_failed_try_leaves_an_event_with_the_name_beside_it(house: House) -> None:
    try_to_sign_in(Client(), house.reader.username, "wrong")
    try_to_sign_in(Client(), "nobody-here", "wrong")
    known, unknown = events("session.sign_in_failed")
    assert (known["stage"], known["outcome"], known["reason"]) == ("denied", "denied", "credentials")
    assert known["tenant"] == unknown["tenant"] == str(house.tenant.id)
    assert unknown["object"] is None
    assert set(known["commitments"]) == {"username", "ip"}


def test_among_several_tenants_an_unknown_name_belongs_to_none(house: House) -> None:
    make_tenant()
    try_to_sign_in(Client(), "nobody-here", "wrong")
    (unknown,) = events("session.sign_in_failed")
    assert unknown["tenant"] == str(UUID(int=0))


def test_after_several_failures_even_the_right_password_has_to_wait(house: House) -> None:
    client = Client()
    for _try in range(settings.SIGN_IN_TRIES):
        assert try_to_sign_in(client, house.reader.username, "wrong") == 422
    response = client.post("/sign-in", {"username": house.reader.username, "password": PASSWORD})
    assert response.status_code == 429
    assert "Wait a few minutes" in response.content.decode()
    assert not is_signed_in(client)
    assert try_to_sign_in(Client(), house.clerk.username) == 302


def test_an_unknown_name_is_throttled_like_a_known_one(house: House) -> None:
    for _try in range(settings.SIGN_IN_TRIES):
        try_to_sign_in(Client(), "nobody-here", "wrong")
    assert try_to_sign_in(Client(), "nobody-here", "wrong") == 429


def test_the_wait_ends(house: House) -> None:
    for _try in range(settings.SIGN_IN_TRIES):
        try_to_sign_in(Client(), house.reader.username, "wrong")
    past = timezone.now() - timedelta(seconds=settings.SIGN_IN_WAIT_SECONDS + 1)
    FailedSignIn.objects.update(at=past)
    assert try_to_sign_in(Client(), house.reader.username) == 302


def test_one_address_cannot_try_many_names(house: House) -> None:
    for number in range(settings.SIGN_IN_TRIES * 5):
        try_to_sign_in(Client(), f"guess-{number}", "wrong")
    assert try_to_sign_in(Client(), house.reader.username) == 429
    other = Client(REMOTE_ADDR="10.0.0.9")
    assert try_to_sign_in(other, house.reader.username) == 302


def test_a_forwarded_address_counts_only_from_the_sites_proxy(house: House, settings: object) -> None:
    client = Client(REMOTE_ADDR="10.0.0.7", HTTP_X_FORWARDED_FOR="192.0.2.1")
    try_to_sign_in(client, house.reader.username)
    settings.TRUSTED_PROXY = "10.0.0.7"  # type: ignore[attr-defined]  # pytest-django's settings
    try_to_sign_in(Client(REMOTE_ADDR="10.0.0.7", HTTP_X_FORWARDED_FOR="192.0.2.1"), house.reader.username)
    direct, proxied = events("session.signed_in")
    assert (direct["source"]["trusted_proxy"], proxied["source"]["trusted_proxy"]) == (False, True)


def test_an_empty_form_is_answered_with_the_form(house: House) -> None:
    response = Client().post("/sign-in", {})
    assert response.status_code == 422
    assert not events("session.sign_in_failed")


def test_a_form_without_its_token_is_refused(house: House) -> None:
    client = Client(enforce_csrf_checks=True)
    response = client.post("/sign-in", {"username": house.reader.username, "password": PASSWORD})
    assert response.status_code == 403
    assert "Load it again" in response.content.decode()
