"""What people fill in about documents."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from muniment.scope import Scope
from muniment.tenancy.models import LABELS, Library
from muniment.tenancy.queries import readable_libraries

KINDS = {
    "pdf": (_("PDF"), (".pdf",)),
    "text": (
        _("Text"),
        (".docx", ".odt", ".rtf", ".epub", ".md", ".markdown", ".rst", ".txt", ".log", ".html", ".htm"),
    ),
    "slides": (_("Slides"), (".pptx",)),
    "tables": (_("Tables"), (".xlsx", ".xls", ".csv", ".tsv")),
    "mail": (_("Mail"), (".eml", ".msg")),
    "pictures": (_("Pictures"), (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")),
    "data": (_("Data"), (".json", ".xml")),
}


class FindForm(forms.Form):
    """Narrows the table of a library; everything may be left empty."""

    q = forms.CharField(
        label=_("Find by name"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    kind = forms.ChoiceField(
        label=_("Type"), required=False, choices=[("", _("All")), *((k, v[0]) for k, v in KINDS.items())]
    )
    label = forms.ChoiceField(label=_("Label"), required=False)

    def __init__(self, scope: Scope, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        seen = [choice for choice in LABELS if choice[0] <= scope.clearance]
        self.fields["label"].choices = [("", _("All")), *seen]  # type: ignore[attr-defined]  # a ChoiceField


class MoveForm(forms.Form):
    """The libraries a document may be moved to."""

    library = forms.ModelChoiceField(label=_("Library"), queryset=Library.objects.none())

    def __init__(self, scope: Scope, here: Library, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        elsewhere = readable_libraries(scope).filter(pk__in=scope.contributes).exclude(pk=here.pk)
        self.fields["library"].queryset = elsewhere  # type: ignore[attr-defined]  # a ModelChoiceField
        self.fields["library"].label_from_instance = _name  # type: ignore[attr-defined]


class LabelForm(forms.Form):
    """How secret a document is, up to the person's own clearance."""

    label = forms.TypedChoiceField(label=_("Label"), coerce=int)

    def __init__(self, scope: Scope, *args: Any, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.fields["label"].choices = [c for c in LABELS if c[0] <= scope.clearance]  # type: ignore[attr-defined]


def _name(library: Library) -> str:
    return library.name
