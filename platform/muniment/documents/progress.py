"""What is in work in a library, said for people: stages, places in the queue, and an honest estimate.

The database knows the stages. How far a stage is, page by page, only the live stream knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from muniment.documents import queries
from muniment.documents.messages import message
from muniment.documents.models import IN_WORK, Version, VersionState
from muniment.documents.services import may_change
from muniment.jobs.streams import Entry
from muniment.pages.templatetags.muniment_pages import about, thousands
from muniment.scope import Scope

SHOWN_IN_WORK = 50
SHOWN_FAILED = 20


@dataclass(frozen=True)
class Step:
    """How far a version's stage is: `done` of `total` pages or passages."""

    stage: str
    done: int = 0
    total: int = 0


@dataclass
class Progress:
    """The newest step of each version of a library, from its live stream."""

    steps: dict[UUID, Step] = field(default_factory=dict)

    def hear(self, entry: Entry) -> None:
        data = entry.data
        version = UUID(data["version"])
        self.steps[version] = Step(data["stage"], data.get("done", 0), data.get("total", 0))

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Progress:
        progress = cls()
        for entry in entries:
            progress.hear(entry)
        return progress


@dataclass(frozen=True)
class Work:
    """What is in work in a library and what has failed: the same for all who may read as much of it."""

    working: Sequence[Version]
    failed: Sequence[Version]
    failures: int
    finished: int
    places: Mapping[UUID, int]
    progress: Progress
    pace: queries.Pace | None

    def changeable(self, scope: Scope) -> bool:
        """Whether this person may do something about a failure that is shown."""
        return any(may_change(scope, version.document) for version in self.failed)

    def shown_to(self, scope: Scope) -> dict[str, Any]:
        """The context of `documents/_in_work.html`."""
        steps = self.progress.steps
        left = {
            version.id: _seconds_left(version, steps.get(version.id), self.pace) for version in self.working
        }
        rows = [
            _row(version, steps.get(version.id), self.places.get(version.id), left[version.id])
            for version in self.working[:SHOWN_IN_WORK]
        ]
        rows += [_failed_row(scope, version) for version in self.failed]
        return {
            "rows": rows,
            "left": len(self.working),
            "all": len(self.working) + self.finished,
            "eta_text": _all_left(list(left.values()), self.places),
            "more": len(self.working) + self.failures - len(rows),
        }


def work(scope: Scope, library: UUID, heard: Callable[[], Progress]) -> Work:
    """As the database has it now; what the live stream has `heard` is asked only where something is read."""
    unfinished = queries.unfinished_versions(scope, library)
    working = list(unfinished.filter(state__in=IN_WORK).order_by("created_at"))
    every_failed = unfinished.filter(state=VersionState.FAILED).order_by("-created_at")
    failed = list(every_failed[:SHOWN_FAILED])
    return Work(
        working=working,
        failed=failed,
        failures=every_failed.count() if len(failed) == SHOWN_FAILED else len(failed),
        finished=queries.published_since(scope, library, working[0].created_at) if working else 0,
        places=queries.waiting_places(scope, working),
        progress=heard() if working else Progress(),
        pace=queries.pace(scope) if working else None,
    )


def _seconds_left(version: Version, step: Step | None, pace: queries.Pace | None) -> float | None:
    """None where nothing can honestly be said: nothing learned yet, or longer in work than expected."""
    expected = pace.seconds(version.size) if pace else None
    if version.state == VersionState.RECEIVED or version.started_at is None:
        return expected
    elapsed = (timezone.now() - version.started_at).total_seconds()
    if step and step.done and step.stage == version.state == VersionState.EMBEDDING:
        return elapsed * (step.total - step.done) / step.done
    return expected - elapsed if expected and expected > elapsed else None


def _all_left(left: list[float | None], places: Mapping[UUID, int]) -> str:
    """The time for all that is left, and how many files of others come before the last of ours."""
    known = [seconds for seconds in left if seconds is not None]
    if not known or len(known) < len(left):
        return ""
    others = max(places.values(), default=-1) + 1 - len(places)
    if others <= 0:
        return about(sum(known))
    return ngettext(
        "%(time)s once %(n)s file of others is read", "%(time)s once %(n)s files of others are read", others
    ) % {"time": about(sum(known)), "n": thousands(others)}


def _row(version: Version, step: Step | None, place: int | None, left: float | None) -> dict[str, Any]:
    stage, text, percent = _stage(version, step)
    return {
        **_common(version),
        "stage": stage,
        "stage_text": text,
        "done": step.done if step else 0,
        "total": step.total if step else 0,
        "percent": percent,
        "eta_text": about(left) if left is not None and stage != "waiting" else "",
        "position": place,
        "position_text": _place(place),
    }


def _stage(version: Version, step: Step | None) -> tuple[str, str, int | None]:
    """Stage, its words, and percent; a step of another stage than the database's is not of now."""
    if version.state == VersionState.RECEIVED:
        return "waiting", "", None
    reading = version.state == VersionState.READING
    if step is None or step.stage != version.state or not step.total:
        return version.state, _("Reading") if reading else _("Embedding"), None
    values = {"n": thousands(step.done), "all": thousands(step.total)}
    percent = min(100, 100 * step.done // step.total)
    if reading:
        return "reading", _("Reading page %(n)s of %(all)s") % values, percent
    if step.done >= step.total:
        return "publishing", _("Publishing"), 100
    return "embedding", _("Embedding passage %(n)s of %(all)s") % values, percent


def _place(place: int | None) -> str:
    if place is None:
        return _("Waiting")
    if place == 0:
        return _("Next in the queue")
    if place == 1:
        return _("Second in the queue")
    return _("Number %(n)s in the queue") % {"n": thousands(place + 1)}


def _failed_row(scope: Scope, version: Version) -> dict[str, Any]:
    said = message(version.error_code)
    mine = may_change(scope, version.document)
    return {
        **_common(version),
        "stage": "failed",
        "error_title": said.title,
        "error_text": said.text,
        "retry_url": reverse("retry", args=[version.id]) if mine else "",
        "dismiss_url": reverse("dismiss", args=[version.id]) if mine else "",
    }


def _common(version: Version) -> dict[str, Any]:
    pages = version.page_count
    return {
        "id": version.id,
        "name": version.document.name,
        "size": version.size,
        "pages_text": ngettext("%(n)s page", "%(n)s pages", pages) % {"n": thousands(pages)} if pages else "",
    }
