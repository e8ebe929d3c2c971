"""Turns and conversations as templates take them: words, addresses and safe HTML instead of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from muniment.conversations.models import OPEN_TURNS, Mode, TurnState
from muniment.conversations.models import Conversation as ConversationRow
from muniment.conversations.models import Turn as TurnRow
from muniment.conversations.queries import (
    SeenSource,
    count_turns,
    curated_of,
    place_in_queue,
    sources_of_turns,
)
from muniment.conversations.receipts import has_receipt
from muniment.conversations.rendering import answer_html, excerpt, quotes_html
from muniment.conversations.statements import Statement, Verdict, read
from muniment.conversations.suggestions import suggested
from muniment.documents.models import Passage
from muniment.documents.presentation import short_page_name
from muniment.documents.queries import visible_documents
from muniment.documents.viewer import PDF
from muniment.pages.templatetags.muniment_pages import about
from muniment.scope import Scope
from muniment.tenancy.queries import readable_libraries

ERRORS: dict[str, str | Promise] = {
    "unavailable": gettext_lazy(
        "A part of the service did not answer. Ask again in a minute; if it happens again, "
        "tell your administrator."
    ),
    "prompt_too_long": gettext_lazy("The question is too long for the model. Ask a shorter one."),
    "person_gone": gettext_lazy("Your account was closed while this waited."),
}
ERROR = gettext_lazy(
    "Something went wrong while the answer was written. Ask again; if it happens again, "
    "tell your administrator."
)

# The files that an answer can be saved as, by the ending of their names.
EXPORTS: dict[str, str | Promise] = {
    "md": gettext_lazy("Markdown"),
    "docx": gettext_lazy("Word"),
    "html": gettext_lazy("Page to print"),
}


@dataclass(frozen=True)
class Source:
    """A card. Without `url` the passage was deleted, or is no longer open to this person.

    `also` says where else the same stands; `replaced` that the document has a newer version by now.
    """

    n: int
    document_name: str = ""
    page_label: str = ""
    heading: str = ""
    before: str = ""
    best: str = ""
    after: str = ""
    url: str = ""
    current: bool = False
    replaced: bool = False
    also: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Coverage:
    """How much the answer rests on. `sentences` is 0 where sentences were not checked one by one."""

    passages: int
    documents: int
    sentences: int = 0
    supported: int = 0


@dataclass(frozen=True)
class Turn:
    """What conversations/_turn.html and the partials in it take."""

    id: UUID
    question: str
    state: str
    running: bool
    first: bool
    status_text: str
    searched: str
    library_name: str
    seconds: float | None
    sources: list[Source] | None
    nearest: bool
    answer_html: str
    coverage: Coverage | None
    left_out: int
    model_name: str
    error: str | Promise
    feedback: str
    feedback_reason: str
    feedback_shared: bool = False
    may_share: bool = False
    suggestions: list[str] = field(default_factory=list)
    receipt_url: str = ""
    exports: list[tuple[str | Promise, str]] = field(default_factory=list)
    may_keep: bool = False
    quotes: bool = False
    outdated: bool = False

    @property
    def events_url(self) -> str:
        return reverse("turn-events", args=[self.id])

    @property
    def stop_url(self) -> str:
        return reverse("stop-turn", args=[self.id])

    @property
    def keep_url(self) -> str:
        """For whoever keeps questions of a library."""
        return reverse("keep-question", args=[self.id]) if self.may_keep else ""

    @property
    def feedback_url(self) -> str:
        return reverse("rate-turn", args=[self.id])

    @property
    def retry_url(self) -> str:
        return reverse("ask-again", args=[self.id])


def turn(scope: Scope, row: TurnRow) -> Turn:
    return turns(scope, [row])[0]


def turns(scope: Scope, rows: list[TurnRow]) -> list[Turn]:
    """Turns of one conversation, with their sources as this person may see them now."""
    sources = sources_of_turns(scope, rows)
    where = place_names(scope, [row.conversation for row in rows[:1]])
    shown = [_turn(scope, row, sources[row.id], where[row.conversation_id]) for row in rows]
    return [*shown[:-1], *(_with_suggestions(one, rows, sources) for one in shown[-1:])]


def _with_suggestions(last: Turn, rows: list[TurnRow], sources: Mapping[UUID, list[SeenSource]]) -> Turn:
    """Under the last answer only, as one goes on from there; nothing that was asked already."""
    if not has_words(rows[-1]):
        return last
    asked = {row.question for row in rows}
    return replace(last, suggestions=[q for q in suggested(sources[last.id]) if q not in asked])


def _turn(scope: Scope, row: TurnRow, seen: list[SeenSource], where: str) -> Turn:
    running = row.state in OPEN_TURNS
    unseen = not seen and row.state not in {TurnState.NOT_IN_DOCUMENTS, TurnState.ANSWERED, TurnState.WEAK}
    cards = [card(source, source_url(row, source)) for source in seen]
    given = {source.source.n for source in seen if source.source.given}
    statements = read(row.statements)
    quotes = row.mode == Mode.QUOTE
    addresses = {card.n: card.url for card in cards if card.n in given}
    words = quotes_html if quotes else answer_html
    feedback = getattr(row, "feedback", None)
    return Turn(
        id=row.id,
        question=row.question,
        state=_state(row.state),
        running=running,
        first=row.ordinal == 1,
        status_text=_waiting_or_status(scope, row) if running else "",
        searched="" if row.searched == row.question else row.searched,
        library_name=where,
        seconds=row.timings.get("search"),
        sources=None if unseen else cards,
        nearest=row.state == TurnState.NOT_IN_DOCUMENTS,
        answer_html=words(row.answer, addresses, statements),
        coverage=_coverage(seen, statements) if given and not running else None,
        left_out=row.left_out,
        model_name=row.model if row.answer else "",
        error=ERRORS.get(row.error_code, ERROR),
        feedback={1: "up", -1: "down"}[feedback.value] if feedback else "",
        feedback_reason=feedback.reason if feedback else "",
        feedback_shared=bool(feedback and feedback.shared),
        may_share=bool(given or (seen and row.state == TurnState.NOT_IN_DOCUMENTS)),
        may_keep=bool(curated_of(scope, row)),
        quotes=quotes,
        exports=_exports(row),
        receipt_url=reverse("turn-receipt", args=[row.id]) if has_receipt(row) else "",
        outdated=any(source.outdated for source in seen),
    )


def has_words(row: TurnRow) -> bool:
    """Whether an answer is shown that can be copied and taken along."""
    return bool(row.answer) and row.state in {TurnState.ANSWERED, TurnState.WEAK, TurnState.STOPPED}


def _exports(row: TurnRow) -> list[tuple[str | Promise, str]]:
    if not has_words(row):
        return []
    return [(words, reverse("export-answer", args=[row.id, format])) for format, words in EXPORTS.items()]


def _state(state: str) -> str:
    if state == TurnState.ASKED:
        return "waiting"
    return "working" if state in OPEN_TURNS else str(state)


def card(seen: SeenSource, url: str) -> Source:
    """A source that opens at `url`, where it may still be opened."""
    passage, source = seen.passage, seen.source
    if passage is None:
        return Source(n=source.n)
    words = excerpt(passage.text, source.best_start, source.best_end)
    return Source(
        n=source.n,
        document_name=passage.version.document.name,
        page_label=page_name(passage, seen.page_label),
        heading=passage.heading,
        before=words.before,
        best=words.best,
        after=words.after,
        url=url,
        replaced=seen.replaced,
        also=[_where(other, label) for other, label in seen.alike],
    )


def source_url(row: TurnRow, seen: SeenSource) -> str:
    return reverse("turn-source", args=[row.id, seen.source.n])


def page_name(passage: Passage, label: str) -> str:
    """Where in the document; a text of one piece has no pages to speak of."""
    version = passage.version
    if not label or (version.page_count == 1 and label == "1" and version.media_type != PDF):
        return ""
    return short_page_name(version.media_type, label)


def _where(passage: Passage, label: str) -> str:
    return ", ".join(filter(None, (passage.version.document.name, page_name(passage, label))))


def _coverage(seen: Iterable[SeenSource], statements: Sequence[Statement]) -> Coverage:
    given = [source.source for source in seen if source.source.given]
    return Coverage(
        passages=len(given),
        documents=len({source.document for source in given}),
        sentences=len(statements),
        supported=sum(statement.verdict == Verdict.SUPPORTED for statement in statements),
    )


def place_names(scope: Scope, conversations: Iterable[ConversationRow]) -> Mapping[UUID, str]:
    """Where each conversation looks, in words: documents, libraries, or all that the person may read."""
    rows = list(conversations)
    libraries = {str(library.id): library.name for library in readable_libraries(scope)}
    wanted = {document for row in rows for document in row.documents}
    documents = {
        str(pk): name for pk, name in visible_documents(scope).filter(pk__in=wanted).values_list("id", "name")
    }
    return {row.id: _place(row, libraries, documents) for row in rows}


def listed(scope: Scope, rows: list[ConversationRow]) -> list[dict[str, Any]]:
    """Conversations as a list shows them."""
    names, counts = place_names(scope, rows), count_turns(rows)
    return [
        {
            "id": row.id,
            "title": row.title,
            "url": reverse("conversation", args=[row.id]),
            "turns": counts[row.id],
            "changed": row.changed_at,
            "library_name": names[row.id],
        }
        for row in rows
    ]


def citing(row: TurnRow) -> dict[str, Any]:
    """An answer in the list of those that cite a document."""
    return {
        "question": row.question,
        "url": f"{reverse('conversation', args=[row.conversation_id])}#turn-{row.id}",
        "asked": row.created_at,
        "replaced": row.replaced,  # type: ignore[attr-defined]  # annotated
    }


def _place(row: ConversationRow, libraries: Mapping[str, str], documents: Mapping[str, str]) -> str:
    closed = _("a place that is no longer open to you")
    names = [documents.get(document, "") for document in row.documents] or [
        libraries.get(library, "") for library in row.libraries
    ]
    if not names:
        return _("all your libraries")
    return ", ".join(dict.fromkeys(name or closed for name in names))


def _waiting_or_status(scope: Scope, row: TurnRow) -> str:
    place = place_in_queue(scope, row) if row.state == TurnState.ASKED else None
    return waiting_text(place) if place else status_text(row.state)


def waiting_text(place: int) -> str:
    return ngettext("%(n)s question is before yours.", "%(n)s questions are before yours.", place) % {
        "n": place
    }


def status_text(state: str) -> str:
    return _("Working on the answer.") if state == TurnState.ANSWERING else _("Looking for passages.")


def reading_text(tokens: int, seconds: float | None) -> str:
    """`tokens` of the prompt are being read, which takes `seconds` where the machine's speed is known."""
    if seconds is None:
        return _("Reading the passages.")
    return _("Reading the passages; the first words should come in %(time)s.") % {"time": about(seconds)}


def writing_text() -> str:
    return _("Writing the answer.")


def retrying_text() -> str:
    return _("A part of the service does not answer. Trying again.")
