"""What an administrator types and chooses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from muniment.accounts.models import ROLES, Person
from muniment.documents.models import Document
from muniment.scope import Label, Role, Scope
from muniment.tenancy.models import LABELS, Level, Library, Team

EVERYBODY = "everybody"


class RightsForm(forms.Form):
    roles = forms.MultipleChoiceField(
        label=_("Roles"),
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Nobody is administrator and compliance officer at once."),
    )
    clearance = forms.TypedChoiceField(
        label=_("Reads documents up to"), choices=LABELS, coerce=int, initial=Label.INTERNAL.value
    )

    def __init__(self, scope: Scope, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        site = Role.SITE_ADMIN in scope.roles
        _choose(self, "roles").choices = [
            (role, title) for role, title in ROLES if site or role != Role.SITE_ADMIN
        ]


class PersonForm(RightsForm):
    name = forms.CharField(label=_("Name"), max_length=120)
    username = forms.CharField(
        label=_("Sign-in name"), max_length=60, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    field_order = ("name", "username", "roles", "clearance")

    def __init__(self, scope: Scope, *args: Any, **kwargs: Any) -> None:
        super().__init__(scope, *args, **kwargs)
        self.fields["roles"].initial = [Role.STAFF.value]


class TeamForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120)


class MemberForm(forms.Form):
    person = forms.TypedChoiceField(label=_("Person"), coerce=UUID)

    def __init__(self, people: Iterable[Person], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "person").choices = [(str(p.id), f"{p.name} ({p.username})") for p in people]


class LibraryForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120)
    label = forms.TypedChoiceField(
        label=_("Label of new documents"),
        choices=LABELS,
        coerce=int,
        initial=Label.INTERNAL.value,
        help_text=_("Documents that are there already keep theirs."),
    )


class GrantForm(forms.Form):
    """`to` is `everybody`, `team:ID` or `person:ID`."""

    to = forms.ChoiceField(label=_("To"))
    level = forms.TypedChoiceField(label=_("Right"), choices=Level.choices, coerce=int)

    def __init__(self, teams: Iterable[Team], people: Iterable[Person], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "to").choices = [
            (EVERYBODY, _("Everybody here")),
            (_("Teams"), [(f"team:{team.id}", team.name) for team in teams]),
            (_("People"), [(f"person:{p.id}", f"{p.name} ({p.username})") for p in people]),
        ]

    def target(self) -> dict[str, UUID]:
        """Arguments for `give_access`: team_id, person_id, or none for everybody."""
        kind, _colon, id_ = self.cleaned_data["to"].partition(":")
        return {f"{kind}_id": UUID(id_)} if id_ else {}


class DeleteLibraryForm(forms.Form):
    name = forms.CharField(
        label=_("Type the library's name"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class FolderForm(forms.Form):
    path = forms.CharField(
        label=_("Folder"),
        max_length=600,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "/srv/shares/contracts"}),
        help_text=_("Its path on the server, as the upkeep part sees it."),
    )
    library = forms.TypedChoiceField(
        label=_("Library"), coerce=UUID, help_text=_("Who may read it may read what comes in.")
    )
    label = forms.TypedChoiceField(
        label=_("Label of its documents"),
        choices=LABELS,
        coerce=int,
        initial=Label.INTERNAL.value,
        help_text=_("Who may open a file on the share does not count here."),
    )

    def __init__(self, libraries: Iterable[Library], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "library").choices = [(str(library.id), library.name) for library in libraries]


class ConfirmForm(forms.Form):
    """How many files whoever confirms was told of."""

    missing = forms.IntegerField(min_value=1, widget=forms.HiddenInput)


class CaseForm(forms.Form):
    """A question to keep; `case` is the one that is changed, empty for a new one."""

    case = forms.UUIDField(required=False, widget=forms.HiddenInput)
    question = forms.CharField(label=_("Question"), widget=forms.Textarea(attrs={"rows": 3}))
    document = forms.CharField(
        label=_("Document that answers it"),
        required=False,
        max_length=255,
        help_text=_("Its name in the library. Without one the question is asked but not measured."),
    )
    page = forms.IntegerField(label=_("Page"), required=False, min_value=1)

    def __init__(self, documents: QuerySet[Document], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._documents = documents

    def clean_document(self) -> UUID | None:
        name = self.cleaned_data["document"].strip()
        if not name:
            return None
        found = self._documents.filter(name=name).first()
        if found is None:
            raise forms.ValidationError(_("The library has no document of this name that you may see."))
        return found.id


class BudgetForm(forms.Form):
    budget = forms.IntegerField(
        label=_("Tokens set by hand"),
        required=False,
        min_value=1,
        help_text=_("Leave it empty to go by the measurement."),
    )


def _choose(form: forms.Form, name: str) -> forms.ChoiceField:
    """A field whose choices depend on who asks."""
    field = form.fields[name]
    if not isinstance(field, forms.ChoiceField):
        raise TypeError(name)
    return field
