"""What people fill in to search."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from muniment.scope import Scope
from muniment.tenancy.queries import readable_libraries


class SearchForm(forms.Form):
    """Words, and the slug of a library or nothing for all."""

    q = forms.CharField(
        label=_("Words"),
        required=False,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off", "autofocus": True}),
    )
    library = forms.ChoiceField(label=_("Library"), required=False)

    def __init__(self, scope: Scope, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        libraries = [(library.slug, library.name) for library in readable_libraries(scope)]
        self.fields["library"].choices = [("", _("All libraries")), *libraries]  # type: ignore[attr-defined]
