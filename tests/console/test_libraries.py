"""The administrator's pages about libraries and grants; and that foreign things look like absent ones."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse

from muniment.conversations.models import Turn
from muniment.documents.queries import visible_documents
from muniment.scope import Label, Role
from muniment.tenancy.models import Grant, Level, Library, Team
from tests.factories import grant, make_document, make_library, make_person, make_tenant, scope_for
from tests.house import House, events, seen, signed_in


@pytest.fixture
def client(house: House) -> Client:
    return signed_in(make_person(house.tenant, roles=[Role.TENANT_ADMIN]))


def test_an_administrator_has_everybody_answered_by_quotations(house: House, client: Client) -> None:
    make_document(house.library)
    reader = signed_in(house.reader)
    for quotes_only, mode, shown in (("1", "quote", 0), ("", "answer", 1)):
        assert client.post("/console/libraries/answers", {"quotes_only": quotes_only}).status_code == 302
        assert reader.get("/").content.decode().count('type="checkbox" name="quote"') == shown
        reader.post("/ask", {"question": "When do doors close?"})
        assert Turn.objects.order_by("-created_at")[0].mode == mode
    changes = [event["details"]["quotes_only"] for event in events("tenant.quotes_only_changed")]
    assert changes == [True, False]


def test_a_new_library_is_open_to_nobody(house: House, client: Client) -> None:
    client.post("/console/libraries/create", {"name": "Contracts 2026", "label": "2"})
    made = Library.objects.get(name="Contracts 2026")
    assert (made.slug, made.label, made.tenant_id) == ("contracts-2026", Label.CONFIDENTIAL, house.tenant.id)
    assert made.id not in scope_for(house.reader).libraries
    assert len(events("library.created")) == 1


def test_two_libraries_of_one_name_get_two_slugs(client: Client) -> None:
    for _again in range(2):
        client.post("/console/libraries/create", {"name": "Contracts", "label": "1"})
    slugs = Library.objects.filter(name="Contracts").values_list("slug", flat=True)
    assert sorted(slugs) == ["contracts", "contracts-2"]


def test_rename_and_label(house: House, client: Client) -> None:
    url = reverse("library-settings", args=[house.library.id])
    assert client.post(url, {"name": "Rules", "label": "3"}).status_code == 302
    changed = Library.objects.get(pk=house.library.pk)
    assert (changed.name, changed.label, changed.slug) == ("Rules", Label.SECRET, house.library.slug)
    assert client.post(url, {"name": "", "label": "1"}).status_code == 422
    assert client.post(url, {"name": "Rules", "label": "7"}).status_code == 422


def test_grants_by_name_by_team_and_to_everybody(house: House, client: Client) -> None:
    library = make_library(house.tenant, "Contracts")
    team = Team.objects.create(tenant=house.tenant, name="North")
    team.members.add(house.clerk)
    url = reverse("give-access", args=[library.id])
    client.post(url, {"to": f"person:{house.reader.id}", "level": "2"})
    client.post(url, {"to": f"team:{team.id}", "level": "1"})
    assert library.id in scope_for(house.reader).contributes
    assert library.id in scope_for(house.clerk).libraries
    assert library.id not in scope_for(house.curator).libraries
    client.post(url, {"to": "everybody", "level": "1"})
    assert library.id in scope_for(house.curator).libraries
    page = client.get(reverse("library-settings", args=[library.id])).content.decode()
    assert "through the team North" in page
    assert [body["details"]["everyone"] for body in events("grant.given")] == [False, False, True]


def test_granting_again_changes_the_level(house: House, client: Client) -> None:
    url = reverse("give-access", args=[house.library.id])
    for level in ("1", "2", "1"):
        client.post(url, {"to": "everybody", "level": level})
    assert Grant.objects.get(library=house.library, team=None, person=None).level == Level.READ


def test_a_withdrawn_grant_counts_at_once(house: House, client: Client) -> None:
    given = Grant.objects.get(library=house.library, person=house.reader)
    client.post(reverse("revoke-access", args=[given.id]))
    assert scope_for(house.reader).libraries == frozenset()
    assert len(events("grant.revoked")) == 1


@pytest.mark.parametrize(
    "to", ["", "person:", "person:nonsense", "team:{stranger}", "person:{stranger}", "world"]
)
def test_a_grant_to_nobody_here_is_not_given(house: House, client: Client, to: str) -> None:
    stranger = make_person(make_tenant())
    before = Grant.objects.count()
    data = {"to": to.format(stranger=stranger.id), "level": "1"}
    assert client.post(reverse("give-access", args=[house.library.id]), data).status_code == 302
    assert Grant.objects.count() == before


def test_deleting_hides_the_library_and_its_documents_at_once(house: House, client: Client) -> None:
    make_document(house.library)
    url = reverse("delete-library", args=[house.library.id])
    client.post(url, {"name": "Handbok"})
    assert visible_documents(scope_for(house.reader)).count() == 1
    client.post(url, {"name": "Handbook"})
    scope = scope_for(house.reader)
    assert scope.libraries == frozenset()
    assert not visible_documents(scope).exists()
    (body,) = events("library.deleted")
    assert body["details"] == {"documents": 1}
    assert client.get(reverse("library-settings", args=[house.library.id])).status_code == 404


def test_an_administrator_sees_how_much_but_no_document(house: House, client: Client) -> None:
    make_document(house.library, "secret-plan.txt")
    page = client.get("/console/libraries/")
    assert page.context["libraries"][0]["documents"] == 1
    assert "secret-plan" not in page.content.decode()
    assert (
        "secret-plan" not in client.get(reverse("library-settings", args=[house.library.id])).content.decode()
    )


FOREIGN = {
    "person": ("person",),
    "reset-password": ("person",),
    "deactivate-person": ("person",),
    "activate-person": ("person",),
    "team": ("team",),
    "delete-team": ("team",),
    "add-member": ("team",),
    "remove-member": ("team", "person"),
    "library-settings": ("library",),
    "delete-library": ("library",),
    "give-access": ("library",),
    "revoke-access": ("grant",),
}


@pytest.mark.parametrize("role", [Role.TENANT_ADMIN, Role.SITE_ADMIN])
@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_foreign_looks_exactly_like_what_is_absent(house: House, name: str, role: Role) -> None:
    tenant = make_tenant()
    stranger, library = make_person(tenant), make_library(tenant)
    team = Team.objects.create(tenant=tenant, name="North")
    team.members.add(stranger)
    there = {
        "person": stranger.id,
        "team": team.id,
        "library": library.id,
        "grant": grant(library, stranger).id,
    }
    client = signed_in(make_person(house.tenant, roles=[role]))
    data = {
        "roles": ["staff"],
        "clearance": "1",
        "name": "Handbook",
        "label": "1",
        "to": "everybody",
        "level": "1",
    }

    def ask(references: dict[str, UUID]) -> list[tuple[int, str]]:
        url = reverse(name, args=[references[kind] for kind in FOREIGN[name]])
        return [seen(client.get(url)), seen(client.post(url, data))]

    foreign, absent = ask(there), ask({kind: uuid4() for kind in there})
    assert foreign == absent
    statuses = [status for status, _body in foreign]
    assert 404 in statuses
    assert set(statuses) <= {404, 405}
    assert Grant.objects.filter(library=library).count() == 1
    assert not events("library.deleted")


def test_a_refusal_is_in_the_trail(house: House, client: Client) -> None:
    client.get(reverse("team", args=[uuid4()]))
    (body,) = events("access.denied")
    assert (body["stage"], body["reason"], body["details"]["status"]) == ("denied", "not_found", 404)
    assert set(body["commitments"]) == {"path", "ip"}
