"""How documents and their pages are named to people."""

from __future__ import annotations

from django.utils.translation import gettext as _

SHEETS = (
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.ms-excel",
)
SLIDES = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
# What the file picker offers; what a file really is decides the reader.
ACCEPT = (
    ".pdf,.docx,.pptx,.xlsx,.xls,.odt,.rtf,.epub,.html,.htm,.xml,.md,.markdown,.txt,.rst,.log,.json,.csv,.tsv,"
    ".eml,.msg,.png,.jpg,.jpeg,.tif,.tiff,.bmp"
)


def page_name(media_type: str, label: str) -> str:
    """ "Page 6", "Sheet Costs", "Slide 3"."""
    if media_type in SHEETS:
        return _("Sheet %(label)s") % {"label": label}
    if media_type == SLIDES:
        return _("Slide %(label)s") % {"label": label}
    return _("Page %(label)s") % {"label": label}


def short_page_name(media_type: str, label: str) -> str:
    """ "p. 6", "sheet Costs", "slide 3"."""
    if media_type in SHEETS:
        return _("sheet %(label)s") % {"label": label}
    if media_type == SLIDES:
        return _("slide %(label)s") % {"label": label}
    return _("p. %(label)s") % {"label": label}
