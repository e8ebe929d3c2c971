"""Filters that say figures, times and states as people say them."""

from __future__ import annotations

from datetime import datetime

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from muniment.scope import Label

register = template.Library()

TONES = {
    "good": {"done", "up", "ok", "published", "answered", "active", "supported", "success"},
    "weak": {
        "weak",
        "warning",
        "slow",
        "waiting",
        "pending",
        "unknown",
        "not_in_documents",
        "missing",
        "too_large",
    },
    "bad": {"bad", "denied", "failed", "down", "error", "refused", "inactive", "damaged"},
    "accent": {"in_use", "working", "current"},
}
TONE_OF_STATE = {state: tone for tone, states in TONES.items() for state in states}
UNITS = ("B", "kB", "MB", "GB", "TB")
LABEL_NAMES = {
    Label.PUBLIC: gettext_lazy("public"),
    Label.INTERNAL: gettext_lazy("internal"),
    Label.CONFIDENTIAL: gettext_lazy("confidential"),
    Label.SECRET: gettext_lazy("secret"),
}
MINUTE, HOUR, DAY = 60, 3600, 86400


@register.filter
def thousands(number: int | None) -> str:
    """1930 -> "1,930"; nothing for None."""
    return "" if number is None else intcomma(number)


@register.filter
def filesize(size: int | None) -> str:
    """Bytes as people say them, in steps of 1000: 1234567 -> "1.2 MB"."""
    if size is None:
        return "–"
    if size < 1000:
        return ngettext("%(n)d byte", "%(n)d bytes", size) % {"n": size}
    power = next((n for n in (1, 2, 3) if size < 999.5 * 1000**n), 4)
    amount = size / 1000**power
    digits = 0 if amount >= 9.95 else 1
    return f"{number_format(round(amount, digits), digits)} {UNITS[power]}"


@register.filter
def ago(moment: datetime | None) -> str:
    """How long ago, then the day: "just now", "4 minutes ago", "3 Nov 2025"."""
    if moment is None:
        return "–"
    seconds = int((timezone.now() - moment).total_seconds())
    if seconds < MINUTE:
        return _("just now")
    if seconds < HOUR:
        n = seconds // MINUTE
        return ngettext("%(n)d minute ago", "%(n)d minutes ago", n) % {"n": n}
    if seconds < DAY:
        n = seconds // HOUR
        return ngettext("%(n)d hour ago", "%(n)d hours ago", n) % {"n": n}
    day = timezone.localtime(moment)
    return date_format(day, "j M" if day.year == timezone.localtime().year else "j M Y")


@register.filter
def about(seconds: float | None) -> str:
    """A length of time that is only known roughly: 107 -> "about 2 minutes"."""
    if seconds is None:
        return "–"
    if seconds < MINUTE:
        n = max(5, round(seconds / 5) * 5)
        return ngettext("about %(n)d second", "about %(n)d seconds", n) % {"n": n}
    if seconds < HOUR:
        n = round(seconds / MINUTE)
        return ngettext("about %(n)d minute", "about %(n)d minutes", n) % {"n": n}
    n = round(seconds / HOUR)
    return ngettext("about %(n)d hour", "about %(n)d hours", n) % {"n": n}


@register.filter
def tone(state: object) -> str:
    """The pill's class for a word of state; plain grey when the word is not known."""
    return TONE_OF_STATE.get(str(state), "")


@register.filter
def toast_tone(level: str) -> str:
    """The toast's class for a level of Django's messages."""
    return {"success": "good", "warning": "weak", "error": "bad"}.get(level, level)


@register.filter
def label_name(label: int | None) -> str:
    """The word for how secret a document is."""
    return "–" if label is None else str(LABEL_NAMES[Label(label)])


@register.filter
def label_tone(label: int | None) -> str:
    """Only what must not be passed on wears the colour of the seal."""
    return "sealed" if label is not None and label >= Label.CONFIDENTIAL else ""
