"""What people fill in to search."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from muniment.documents.forms import KINDS
from muniment.scope import Scope
from muniment.search.asked import READ_CHARS, Narrowing
from muniment.tenancy.models import LABELS
from muniment.tenancy.queries import readable_libraries

NO_DAY = _("Write the day as in 2026-01-31.")


class SearchForm(forms.Form):
    """Words, and what narrows the search; all may be left empty. The address carries each."""

    q = forms.CharField(
        label=_("Words"),
        required=False,
        # What a browser sends fits into an address; of what comes otherwise the beginning is read.
        widget=forms.TextInput(
            attrs={
                "type": "search",
                "autocomplete": "off",
                "autofocus": True,
                "maxlength": READ_CHARS,
                "aria-keyshortcuts": "/",
            }
        ),
    )
    library = forms.ChoiceField(label=_("Library"), required=False)
    kind = forms.ChoiceField(
        label=_("Type"),
        required=False,
        choices=[("", _("All")), *((kind, name) for kind, (name, _endings) in KINDS.items())],
    )
    label = forms.TypedChoiceField(label=_("Label"), required=False, coerce=int, empty_value=None)
    since = forms.DateField(label=_("Published from"), required=False)
    until = forms.DateField(label=_("Published to"), required=False)
    document = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, scope: Scope, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._libraries = {library.slug: library for library in readable_libraries(scope)}
        libraries = [(slug, library.name) for slug, library in self._libraries.items()]
        labels = [(number, name) for number, name in LABELS if number <= scope.clearance]
        self._choose("library", [("", _("All libraries")), *libraries])
        self._choose("label", [("", _("All")), *labels])
        for name in ("since", "until"):
            field = self.fields[name]
            field.widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})
            field.error_messages["invalid"] = str(NO_DAY)
            # What lies beyond cannot be said in every time zone.
            field.validators = [MinValueValidator(date(1900, 1, 1)), MaxValueValidator(date(2999, 12, 31))]

    def _choose(self, field: str, choices: list[tuple[Any, Any]]) -> None:
        self.fields[field].choices = choices  # type: ignore[attr-defined]  # a ChoiceField

    def clean(self) -> dict[str, Any]:
        chosen = self.cleaned_data
        since, until = chosen.get("since"), chosen.get("until")
        if since and until and since > until:
            self.add_error("until", _("The last day is before the first. Exchange the two."))
        return chosen

    def narrowing(self) -> Narrowing:
        """Of a valid form."""
        chosen = self.cleaned_data
        library = self._libraries.get(chosen["library"])
        return Narrowing(
            libraries=frozenset({library.id}) if library else frozenset(),
            document=chosen["document"],
            kind=chosen["kind"],
            label=chosen["label"],
            since=chosen["since"],
            until=chosen["until"],
        )
