"""Every address x every role. An address that is not in this table fails the test: decide who may use it."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from muniment.accounts.models import Person
from muniment.scope import Role
from tests.factories import make_person
from tests.house import House, make_house, signed_in

OPEN = {"health", "sign-in"}
# Open to everybody who is signed in; what they find there depends on their scope.
PEOPLE = {
    *("sign-out", "profile", "change-password"),
    *("documents", "library", "library-rows", "library-events", "library-documents", "uploads", "upload"),
    *("document", "delete-document", "move-document", "relabel-document", "retry", "dismiss"),
    *("page", "picture", "original", "search"),
    *("ask-page", "ask", "conversations", "conversation", "rename-conversation", "delete-conversation"),
    *("turn", "stop-turn", "rate-turn", "ask-again", "turn-events", "turn-source", "turn-receipt"),
    *("export-answer", "document-answers", "keep-question"),
}
STREAMS = {"library-events", "turn-events"}
ADMINISTRATORS = {
    *("people", "create-person", "person", "reset-password", "deactivate-person", "activate-person"),
    *("teams", "create-team", "team", "delete-team", "add-member", "remove-member"),
    *("libraries", "create-library", "library-settings", "delete-library", "give-access", "revoke-access"),
    "set-quotes-only",
    *("folders", "map-folder", "folder", "pause-folder", "resume-folder", "confirm-folder", "unmap-folder"),
}
SITE = {"console", "models", "set-budget", "sovereignty"}
CURATORS = {
    *("quality", "library-quality", "keep-case", "remove-case", "start-run", "run"),
    *("quality-feedback", "keep-feedback"),
}
OFFICERS = {
    "desk",
    "checkpoint",
    "witness",
    "trail",
    "trail-export",
    "export-trail",
    "export-manifest",
    "event-proof",
}

# What a page without a reference may answer to an empty request.
OTHERWISE = {200, 302, 400, 405, 415, 422}

ALLOWED = {
    **{name: set(Role) for name in OPEN | PEOPLE},
    **{name: {Role.TENANT_ADMIN, Role.SITE_ADMIN} for name in ADMINISTRATORS},
    **{name: {Role.SITE_ADMIN} for name in SITE},
    **{name: {Role.OFFICER} for name in OFFICERS},
    **{name: {Role.CURATOR} for name in CURATORS},
}


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry)
        else:
            yield entry


def names() -> list[str]:
    return [str(pattern.name) for pattern in patterns(get_resolver())]


def address(name: str) -> str:
    """The route with references to nothing."""
    (pattern,) = (pattern for pattern in patterns(get_resolver()) if pattern.name == name)
    made = {"slug": "no-such-library", "int": 1, "uuid": uuid4()}
    kinds = {
        key: type(converter).__name__.removesuffix("Converter").lower()
        for key, converter in pattern.pattern.converters.items()
    }
    return reverse(name, kwargs={key: made[kind] for key, kind in kinds.items()})


def has_reference(name: str) -> bool:
    (pattern,) = (pattern for pattern in patterns(get_resolver()) if pattern.name == name)
    return bool(pattern.pattern.converters)


def test_every_route_is_in_the_table() -> None:
    assert set(names()) == set(ALLOWED)
    assert len(names()) == len(set(names()))


@pytest.mark.parametrize("name", sorted(set(ALLOWED) - OPEN))
def test_nobody_comes_in_without_signing_in(db: None, name: str) -> None:
    for method in ("get", "post", "put", "delete"):
        ask = getattr(Client(), method)
        page = ask(address(name))
        assert page.status_code == 302, method
        assert page.headers["Location"].startswith("/sign-in")
        assert ask(address(name), headers={"accept": "application/json"}).status_code == 401, method
        assert ask(address(name), headers={"hx-request": "true"}).status_code == 401, method


@pytest.mark.parametrize("name", sorted(ADMINISTRATORS | SITE | OFFICERS))
@pytest.mark.parametrize("role", list(Role))
def test_a_role_sees_its_own_pages_only(house: House, name: str, role: Role) -> None:
    client = signed_in(make_person(house.tenant, roles=[role]))
    answers = {client.get(address(name)).status_code, client.post(address(name), {}).status_code} - {405}
    if role in ALLOWED[name]:
        assert not answers & {403, 500}
        assert answers <= {200, 302, 404, 422}
    else:
        assert answers == {403}


@pytest.mark.parametrize("name", sorted(STREAMS))
@pytest.mark.django_db(transaction=True)
def test_a_stream_of_nothing_does_not_begin(name: str) -> None:
    """A stream gives its database connection back first, so no transaction may be open around it."""
    assert signed_in(make_house().reader).get(address(name)).status_code == 404


@pytest.mark.parametrize("name", sorted(PEOPLE - STREAMS - {"sign-out"}))
def test_signed_in_people_find_nothing_where_nothing_is(house: House, name: str) -> None:
    client = signed_in(house.reader)
    for method in ("get", "post"):
        response = getattr(client, method)(address(name))
        nothing = {404, 405} if has_reference(name) else OTHERWISE
        assert response.status_code in nothing, method


@pytest.mark.parametrize("name", sorted(set(ALLOWED) - {"health", "sign-in", "sign-out", "change-password"}))
def test_a_one_time_password_opens_nothing_else(house: House, name: str) -> None:
    Person.objects.filter(pk=house.curator.pk).update(must_change_password=True)
    response = signed_in(house.curator).get(address(name))
    assert (response.status_code, response.headers["Location"]) == (302, "/profile/password")


def test_every_page_forbids_foreign_content_and_framing(house: House) -> None:
    for client in (Client(), signed_in(make_person(house.tenant, roles=[Role.SITE_ADMIN]))):
        for page in ("/sign-in", "/profile", "/console/", "/nowhere"):
            response = client.get(page)
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["X-Request-Id"]
