"""What a person may read and add to, worked out from the grants that reach them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.scope import Label, Role
from muniment.tenancy.models import Grant, Level, Library, Team, Tenant
from tests.factories import grant, make_library, make_person, make_tenant, scope_for
from tests.house import House

LEVELS = st.sampled_from([None, Level.READ, Level.CONTRIBUTE])


@dataclass(frozen=True)
class Plan:
    """How one library is granted: by name, through two teams, to everybody; and whether it is deleted."""

    by_name: Level | None
    by_team: tuple[Level | None, Level | None]
    to_all: Level | None
    deleted: bool

    def reach(self, member_of: tuple[bool, bool]) -> int:
        if self.deleted:
            return 0
        through = [level for level, member in zip(self.by_team, member_of, strict=True) if member]
        return max((int(level) for level in (self.by_name, self.to_all, *through) if level), default=0)


PLANS = st.builds(Plan, LEVELS, st.tuples(LEVELS, LEVELS), LEVELS, st.booleans())


def build(tenant: Tenant, plan: Plan, number: int, teams: Iterable[Team], person: object) -> Library:
    library = make_library(tenant, f"Library {number}")
    grants = [{"person": person, "level": plan.by_name}, {"level": plan.to_all}]
    grants += [{"team": team, "level": level} for team, level in zip(teams, plan.by_team, strict=True)]
    Grant.objects.bulk_create(Grant(library=library, **fields) for fields in grants if fields["level"])
    if plan.deleted:
        Library.objects.filter(pk=library.pk).update(deleted_at=timezone.now())
    return library


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PLANS, max_size=4), st.tuples(st.booleans(), st.booleans()), st.booleans())
def test_the_scope_is_the_best_of_all_grants(
    plans: list[Plan], member_of: tuple[bool, bool], curator: bool
) -> None:
    with transaction.atomic():
        tenant, foreign = make_tenant(), make_tenant()
        person = make_person(tenant, roles=[Role.CURATOR if curator else Role.STAFF])
        teams = [Team.objects.create(tenant=tenant, name=name) for name in ("North", "South")]
        for team, member in zip(teams, member_of, strict=True):
            if member:
                team.members.add(person)
        grant(make_library(foreign), None, Level.CONTRIBUTE)
        reached = {
            build(tenant, plan, number, teams, person).id: plan.reach(member_of)
            for number, plan in enumerate(plans)
        }
        scope = scope_for(person)
        assert scope.libraries == {library for library, level in reached.items() if level}
        assert scope.contributes == {
            library for library, level in reached.items() if level >= Level.CONTRIBUTE
        }
        assert scope.curates == (scope.contributes if curator else frozenset())
        transaction.set_rollback(True)


def test_by_name(house: House) -> None:
    assert scope_for(house.reader).libraries == {house.library.id}
    assert scope_for(house.reader).contributes == frozenset()
    assert scope_for(house.clerk).contributes == {house.library.id}


def test_a_grant_in_another_tenant_reaches_nobody_here(house: House) -> None:
    """Even where the row names a person of this one."""
    elsewhere = make_library(make_tenant())
    grant(elsewhere, house.reader, Level.CONTRIBUTE)
    assert elsewhere.id not in scope_for(house.reader).libraries


def test_roles_and_clearance_are_the_persons(house: House) -> None:
    scope = scope_for(make_person(house.tenant, roles=[Role.STAFF], clearance=Label.SECRET))
    assert (scope.roles, scope.clearance, scope.tenant) == ({Role.STAFF}, Label.SECRET, house.tenant.id)
    assert not scope.is_admin
    assert not scope.is_officer


def test_administrators_read_nothing_without_a_grant(house: House) -> None:
    assert scope_for(make_person(house.tenant, roles=[Role.SITE_ADMIN])).libraries == frozenset()


def test_a_scope_costs_one_query(house: House, django_assert_num_queries: object) -> None:
    person = house.curator
    with django_assert_num_queries(1):  # type: ignore[operator]  # a fixture of pytest-django
        scope_for(person)
