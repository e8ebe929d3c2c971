"""What two places that should agree say differently, and what was done about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

EXAMPLES = 3
# Under this name the registry keeps the last report.
REPORT = "reconcile"


class What(StrEnum):
    FOREIGN_POINTS = "foreign_points"
    ORPHAN_POINTS = "orphan_points"
    MISSING_POINTS = "missing_points"
    MISPLACED_POINTS = "misplaced_points"
    DAMAGED_TEXT = "damaged_text"
    UNSETTLED_DOCUMENT = "unsettled_document"
    NO_JOB = "no_job"
    POINTLESS_JOB = "pointless_job"
    LOST_ORIGINAL = "lost_original"
    DAMAGED_ORIGINAL = "damaged_original"
    ORPHAN_ORIGINAL = "orphan_original"
    LEFTOVER_UPLOAD = "leftover_upload"
    LEFTOVER_PICTURES = "leftover_pictures"
    UNKNOWN_FILE = "unknown_file"
    STUCK_WORK = "stuck_work"


_FROM_BACKUP = _("Check the disk, then restore them from a backup, or upload the same files again.")

# What is different, and what mends it or what a person has to do.
SENTENCES: dict[What, tuple[str | Promise, str | Promise]] = {
    What.FOREIGN_POINTS: (
        _("The index held passages of one tenant under another."),
        _("They are removed at once and indexed again where they belong. Tell the compliance officer."),
    ),
    What.ORPHAN_POINTS: (
        _("The index held passages that no published document has."),
        _("They are removed."),
    ),
    What.MISSING_POINTS: (
        _("The index lacks passages of a published document, which may not be found."),
        _("The document is indexed again; it can be read meanwhile."),
    ),
    What.MISPLACED_POINTS: (
        _("The index had passages under another library, label or document than the database."),
        _("They are written again as the database has them."),
    ),
    What.DAMAGED_TEXT: (
        _("Stored text of a published document is missing or was changed."),
        _("The document is read again from its original. Where that failed, upload it again."),
    ),
    What.UNSETTLED_DOCUMENT: (
        _("A document shows another version than the one that was published last."),
        _("It shows that version now."),
    ),
    What.NO_JOB: (
        _("A document or question waited for work that nobody had been told to do."),
        _("The work is ordered."),
    ),
    What.POINTLESS_JOB: (
        _("Work was ordered for something that is not there."),
        _("The order is cancelled."),
    ),
    What.LOST_ORIGINAL: (_("An original is missing."), _FROM_BACKUP),
    What.DAMAGED_ORIGINAL: (_("An original is not as it came."), _FROM_BACKUP),
    What.ORPHAN_ORIGINAL: (_("A stored file belonged to no document."), _("It is removed.")),
    What.LEFTOVER_UPLOAD: (
        _("Parts of an upload were left that nobody goes on with."),
        _("They are removed."),
    ),
    What.LEFTOVER_PICTURES: (
        _("Pictures of pages were kept of a document that is gone."),
        _("They are removed."),
    ),
    What.UNKNOWN_FILE: (
        _("A file lies among the originals that Muniment did not put there."),
        _("Look whose it is, and take it away."),
    ),
    What.STUCK_WORK: (
        _("Work is due and nobody does it."),
        _("See whether the workers run; nothing is lost, they go on by themselves."),
    ),
}


@dataclass(frozen=True)
class Difference:
    """`ref` is an id or a hash, never a person's or document's name; `count` points, passages or files.

    `mend` runs in the transaction of its event and says False where it found nothing left to do; None where
    only a person can help.
    """

    what: What
    tenant: UUID
    type: str
    ref: UUID | str
    count: int = 1
    mend: Callable[[], bool] | None = None


@dataclass
class Report:
    """How many things differed, by what differed; a thing with many wrong points is one."""

    found: Counter[What] = field(default_factory=Counter)
    left: Counter[What] = field(default_factory=Counter)
    examples: dict[What, list[str]] = field(default_factory=dict)
    index_compared: bool = True
    things: set[tuple[What, UUID, str]] = field(default_factory=set)

    def add(self, difference: Difference, mended: bool) -> None:
        what, ref = difference.what, str(difference.ref)
        if not mended:
            self.left[what] += 1
        if (key := (what, difference.tenant, ref)) in self.things:
            return
        self.things.add(key)
        self.found[what] += 1
        examples = self.examples.setdefault(what, [])
        if len(examples) < EXAMPLES:
            examples.append(ref)

    @property
    def whole(self) -> bool:
        """Nothing is left that differs, and everything was looked at."""
        return self.index_compared and not self.left

    def as_dict(self) -> dict[str, Any]:
        return {
            "whole": self.whole,
            "index_compared": self.index_compared,
            "differences": [
                {
                    "what": str(what),
                    "found": found,
                    "left": self.left[what],
                    "examples": self.examples[what],
                    "sentence": " ".join(map(str, SENTENCES[what])),
                }
                for what, found in self.found.items()
            ],
        }
