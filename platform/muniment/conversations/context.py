"""What every page shows around its own content: the rail. In the highest room that knows all of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext as _

from muniment.accounts.requests import person_of_request
from muniment.conversations.queries import own_conversations
from muniment.documents.queries import document_counts
from muniment.scope import Role, Scope
from muniment.tenancy.queries import readable_libraries

RECENT = 8


def shell(request: HttpRequest) -> dict[str, Any]:
    """`shell` as `shell.html` wants it, made only where a page shows the rail."""
    scope = getattr(request, "scope_of_person", None)
    if not isinstance(scope, Scope):
        return {}
    return {"shell": SimpleLazyObject(lambda: _shell(request, scope))}


def _shell(request: HttpRequest, scope: Scope) -> dict[str, Any]:
    person = person_of_request(request)
    elsewhere = workplace(scope)
    asks = not elsewhere
    return {
        "nav": _nav(scope, asks, request.path),
        "libraries": _libraries(scope, request.path) if asks else [],
        "questions": _questions(scope, request.path) if asks else [],
        "history_url": reverse("conversations") if asks else "",
        "ask_url": reverse("ask-page") if asks else "",
        "search_url": reverse("search") if asks else "",
        "home_url": reverse(elsewhere or "ask-page"),
        "person": {
            "name": person.name,
            "initials": _initials(person.name),
            "tenant": person.tenant.name,
            "profile_url": reverse("profile"),
        },
        "sign_out_url": reverse("sign-out"),
    }


def workplace(scope: Scope) -> str:
    """The name of the page where somebody works who has nothing to ask; "" for those who ask."""
    if scope.roles == {Role.OFFICER} or (scope.is_officer and not scope.libraries):
        return "desk"
    if scope.libraries or not scope.is_admin:
        return ""
    return "console" if Role.SITE_ADMIN in scope.roles else "people"


def _nav(scope: Scope, asks: bool, path: str) -> list[dict[str, Any]]:
    """The person's pages by role; the current one is the longest address that the path begins with."""
    pages: list[tuple[str, str]] = []
    if asks:
        pages += [(_("Documents"), reverse("documents")), (_("Search"), reverse("search"))]
    if scope.curates:
        pages.append((_("Quality"), reverse("quality")))
    if scope.is_officer:
        pages += [(_("Desk"), reverse("desk")), (_("Trail"), reverse("trail"))]
    if Role.SITE_ADMIN in scope.roles:
        pages += [(_("Health"), reverse("console")), (_("Models"), reverse("models"))]
        pages += [(_("Sovereignty"), reverse("sovereignty"))]
    if scope.is_admin:
        pages += [
            (_("People"), reverse("people")),
            (_("Teams"), reverse("teams")),
            (_("Libraries"), reverse("libraries")),
            (_("Folders"), reverse("folders")),
        ]
    current = max((url for _label, url in pages if path.startswith(url)), key=len, default="")
    return [{"label": label, "url": url, "current": url == current, "count": None} for label, url in pages]


def _libraries(scope: Scope, path: str) -> list[dict[str, Any]]:
    counts = document_counts(scope)
    found = []
    for library in readable_libraries(scope):
        url = reverse("library", args=[library.slug])
        found.append(
            {
                "name": library.name,
                "url": url,
                "count": counts.get(library.id, 0),
                "current": path.startswith(url),
            }
        )
    return found


def _questions(scope: Scope, path: str) -> list[dict[str, Any]]:
    found = []
    for conversation in own_conversations(scope)[:RECENT]:
        url = reverse("conversation", args=[conversation.id])
        found.append({"title": conversation.title, "url": url, "current": path.startswith(url)})
    return found


def _initials(name: str) -> str:
    """Of the first and the last word: Mara von Kessel is MK."""
    words = name.split()
    return "".join(word[0] for word in (*words[:1], *words[1:][-1:])).upper()
