"""What a check of the doctor says: the part's name, how it is, and a sentence that says what to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from muniment.registry.models import Check
from workers import guard

State = Check.State


@dataclass(frozen=True)
class Finding:
    name: str
    state: State
    sentence: str


def ok(name: str, sentence: str) -> Finding:
    return Finding(name, State.OK, sentence)


def warn(name: str, sentence: str) -> Finding:
    return Finding(name, State.WARN, sentence)


def bad(name: str, sentence: str) -> Finding:
    return Finding(name, State.BAD, sentence)


def away(name: str, url: str, setting: str = "") -> Finding:
    """A part that does not answer: a fault only where it should run. `setting` holds its address."""
    if not url.startswith("unix:"):
        return bad(
            name,
            _("It does not answer at its address. Check %(setting)s, and start it.") % {"setting": setting},
        )
    if supervisor_runs():
        return bad(
            name,
            _(
                "It does not answer. It is started again by itself; if it stays like this, read its log in "
                "the folder `logs` of the data folder."
            ),
        )
    return warn(name, _("It is not running: start `make up`."))


def supervisor_runs() -> bool:
    try:
        return guard.is_held(Path(settings.DATA_DIR) / "lock")
    except OSError:
        # Nobody can write here, so nobody holds a lock; the check of the data folder says so.
        return False
