"""Makes the people and libraries of the load test in the database named by the environment; prints them."""

from __future__ import annotations

import json
import sys

import django


def main(people: int, libraries: int) -> None:
    from muniment.tenancy.models import Level, Tenant
    from muniment.wall import within
    from tests.factories import PASSWORD, grant, make_library, make_person

    tenant = Tenant.objects.get()
    with within(tenant.id):
        names = [make_person(tenant).username for _person in range(people)]
        made = [make_library(tenant, f"Reports {number}") for number in range(libraries)]
        for library in made:
            grant(library, None, Level.CONTRIBUTE)
    shown = [{"slug": library.slug, "id": str(library.id)} for library in made]
    print(json.dumps({"people": names, "password": PASSWORD, "libraries": shown}))


if __name__ == "__main__":
    django.setup()
    main(*map(int, sys.argv[1:]))
