"""How a person is found before their tenant is known."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from muniment.accounts.models import Person
from muniment.wall import looking_for


class Local(BaseBackend):
    """Local accounts. Who signs in, or has a session, is the one person that the second wall shows."""

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> Person | None:
        """The person whom name and password are right of; as slow for a name that nobody has."""
        username, password = str(credentials["username"]).lower(), credentials["password"]
        with looking_for(username):
            person = Person.objects.filter(username=username).first()
            if person is None:
                Person().set_password(password)
                return None
            return person if person.check_password(password) and person.is_active else None

    def get_user(self, user_id: Any) -> Person | None:
        with looking_for(str(user_id)):
            # Every page names the organisation.
            return Person.objects.select_related("tenant").filter(pk=user_id, is_active=True).first()
