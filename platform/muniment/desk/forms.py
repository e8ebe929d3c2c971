"""What an officer looks for in the trail."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext_lazy as _

from muniment.audit.actions import OUTCOME_WORDS
from muniment.audit.queries import TrailFilter, actions

# A checkpoint with as many cosignatures as anybody collects.
NOTE_BYTES = 16_000


class MomentInput(forms.DateTimeInput):
    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class TrailForm(forms.Form):
    since = forms.DateTimeField(label=_("From"), required=False, widget=MomentInput)
    until = forms.DateTimeField(label=_("Until"), required=False, widget=MomentInput)
    person = forms.TypedChoiceField(label=_("Person"), required=False, coerce=UUID, empty_value=None)
    action = forms.ChoiceField(label=_("Action"), required=False)
    outcome = forms.ChoiceField(label=_("Outcome"), required=False)
    object = forms.CharField(label=_("About"), required=False, max_length=200, widget=forms.TextInput)

    def __init__(self, *args: Any, people: list[tuple[UUID, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        any_of_them = ("", _("all"))
        _choose(self, "person").choices = [any_of_them, *((str(id_), name) for id_, name in people)]
        _choose(self, "action").choices = [any_of_them, *actions()]
        _choose(self, "outcome").choices = [
            any_of_them,
            *((str(o), word) for o, word in OUTCOME_WORDS.items()),
        ]

    def wanted(self) -> TrailFilter:
        """The filter; call it on a valid form."""
        data = self.cleaned_data
        return TrailFilter(
            since=data["since"],
            until=data["until"],
            action=data["action"],
            outcome=data["outcome"],
            person=data["person"],
            thing=data["object"].strip(),
        )


class WitnessForm(forms.Form):
    checkpoint = forms.FileField(label=_("The file `checkpoint` of the witness"))

    def clean_checkpoint(self) -> str:
        """Its text; what cannot be one has no text."""
        file = self.cleaned_data["checkpoint"]
        if file.size > NOTE_BYTES:
            return ""
        return str(file.read().decode(errors="replace"))


def _choose(form: forms.Form, name: str) -> forms.ChoiceField:
    """A field whose choices depend on who asks."""
    field = form.fields[name]
    if not isinstance(field, forms.ChoiceField):
        raise TypeError(name)
    return field
