"""Sessions: how they end, and what each kind of caller is told then."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.test import Client

from muniment.accounts.models import Person
from muniment.accounts.services import reset_password_from_shell
from muniment.scope import Origin, Role
from tests.factories import PASSWORD, make_person
from tests.house import House, events, signed_in


def test_sign_out_ends_the_session(house: House) -> None:
    client = signed_in(house.reader)
    response = client.post("/sign-out")
    assert (response.status_code, response.headers["Location"]) == (302, "/sign-in")
    assert not Session.objects.exists()
    assert client.get("/profile").status_code == 302
    assert len(events("session.signed_out")) == 1
    assert "You are signed out." in client.get("/sign-in").content.decode()


def test_a_link_cannot_sign_anybody_out(house: House) -> None:
    client = signed_in(house.reader)
    assert client.get("/sign-out").status_code == 405
    assert client.get("/profile").status_code == 200


def test_an_expired_session_leads_to_the_door_with_a_sentence(house: House) -> None:
    client = signed_in(house.reader)
    Session.objects.all().delete()
    response = client.get("/profile", follow=True)
    assert response.redirect_chain == [("/sign-in?next=%2Fprofile&ended=1", 302)]
    assert "Your session has ended" in response.content.decode()


def test_a_script_with_an_expired_session_gets_401(house: House) -> None:
    client = signed_in(house.reader)
    Session.objects.all().delete()
    as_json = client.get("/profile", headers={"accept": "application/json"})
    assert (as_json.status_code, as_json.json()["code"]) == (401, "signed_out")
    part = client.get(
        "/profile", headers={"hx-request": "true", "hx-current-url": "http://testserver/search?q=a"}
    )
    assert part.status_code == 401
    assert part.headers["HX-Redirect"] == "/sign-in?next=%2Fsearch%3Fq%3Da&ended=1"


def test_an_event_stream_with_an_expired_session_gets_401(house: House) -> None:
    response = Client().get("/profile", headers={"accept": "text/event-stream"})
    assert response.status_code == 401


def test_a_deactivated_person_is_out_with_the_next_request(house: House) -> None:
    client = signed_in(house.reader)
    assert client.get("/profile").status_code == 200
    Person.objects.filter(pk=house.reader.pk).update(is_active=False)
    assert client.get("/profile").status_code == 302


def test_a_lost_role_counts_with_the_next_request(house: House) -> None:
    admin = make_person(house.tenant, roles=[Role.TENANT_ADMIN])
    client = signed_in(admin)
    assert client.get("/console/people/").status_code == 200
    Person.objects.filter(pk=admin.pk).update(roles=[Role.STAFF.value])
    assert client.get("/console/people/").status_code == 403


def test_a_reset_password_ends_every_session(house: House) -> None:
    client = signed_in(house.reader)
    reset_password_from_shell(house.reader.username, Origin(kind="cli"))
    assert client.get("/profile").status_code == 302


def test_pages_are_kept_in_no_cache(house: House) -> None:
    response = signed_in(house.reader).get("/profile")
    assert response.headers["Cache-Control"] == "no-store"


def test_who_is_signed_in_needs_no_second_sign_in(house: House) -> None:
    assert signed_in(house.reader).get("/sign-in").headers["Location"] == "/"


def test_the_profile_says_what_the_site_knows(house: House) -> None:
    page = signed_in(house.curator).get("/profile").content.decode()
    assert house.curator.username in page
    assert "Curator" in page


def test_health_tells_everybody_only_that_it_serves(db: None) -> None:
    response = Client().get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_an_old_session_of_a_changed_password_is_out(house: House) -> None:
    here, elsewhere = signed_in(house.reader), signed_in(house.reader)
    new = "another sentence entirely"
    response = here.post("/profile/password", {"old": PASSWORD, "new": new, "again": new})
    assert response.status_code == 302
    assert here.get("/profile").status_code == 200
    assert elsewhere.get("/profile").status_code == 302
