"""What could be asked next, made of the headings around what an answer cites. No model is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from django.utils.translation import gettext as _

from muniment.conversations.queries import SeenSource
from muniment.documents.layout import HEADING_SEPARATOR
from muniment.documents.models import Passage
from muniment.documents.queries import passages_around
from muniment.documents.sentences import CELLS

MOST = 3
# Longer than this it is no title of anything, shorter no subject.
HEADING_CHARS = range(4, 81)


def suggested(seen: Sequence[SeenSource]) -> list[str]:
    """Up to three questions about what stands beside the cited passages, the nearest first."""
    read = {_subject(one.passage) for one in seen if one.passage and one.source.given}
    cited = [one.passage for one in seen if one.passage and one.source.cited]
    around = sorted(passages_around(cited), key=lambda passage: _distance(passage, cited))
    questions = (_question(passage) for passage in around if _subject(passage) not in read)
    return list(dict.fromkeys(filter(None, questions)))[:MOST]


def _distance(passage: Passage, cited: Iterable[Passage]) -> tuple[int, int]:
    """How far from the nearest cited passage; what comes after goes before what came earlier."""
    ahead = [passage.ordinal - one.ordinal for one in cited if one.version_id == passage.version_id]
    return min((abs(steps), steps < 0) for steps in ahead)


def _subject(passage: Passage) -> str:
    """The innermost heading; the one row of names over a table is none."""
    return next((part for part in passage.heading.split(HEADING_SEPARATOR)[::-1] if CELLS not in part), "")


def _question(passage: Passage) -> str:
    subject = _subject(passage).strip().rstrip(".:")
    if len(subject) not in HEADING_CHARS or not any(c.isalpha() for c in subject):
        return ""
    document = PurePosixPath(passage.version.document.name).stem
    if subject.casefold() in (document.casefold(), passage.version.document.title.casefold()):
        return ""
    return _("What does %(document)s say about %(heading)s?") % {"document": document, "heading": subject}
