"""What is read of conversations: a person's own, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from muniment.conversations.models import OPEN_TURNS, Conversation, Source, Turn, TurnState
from muniment.documents.models import Document, Passage
from muniment.documents.queries import page_labels, visible_documents
from muniment.jobs.models import Kind
from muniment.jobs.queries import places_in_queue
from muniment.pages.errors import NotFound
from muniment.scope import Scope


def curated_of(scope: Scope, turn: Turn) -> list[UUID]:
    """The libraries that a question was asked of and whose questions this person keeps."""
    asked = {UUID(library) for library in turn.conversation.libraries} or scope.libraries
    return sorted(asked & scope.curates)


def asker(scope: Scope) -> UUID:
    """Who asks. The system itself has no questions, and sees nobody's."""
    if scope.person is None:
        raise NotFound
    return scope.person


def own_conversations(scope: Scope) -> QuerySet[Conversation]:
    return Conversation.objects.filter(tenant=scope.tenant, person=asker(scope)).order_by("-changed_at")


def find_conversations(scope: Scope, words: str = "") -> QuerySet[Conversation]:
    """A person's conversations whose title or questions have `words`."""
    found = own_conversations(scope)
    if words:
        asked = Turn.objects.filter(tenant=scope.tenant, question__icontains=words).values("conversation")
        found = found.filter(Q(title__icontains=words) | Q(pk__in=asked))
    return found


def count_turns(conversations: Iterable[Conversation]) -> dict[UUID, int]:
    """How many turns each conversation has; none is left out, as none is without a question."""
    rows = Turn.objects.filter(conversation__in=[row.pk for row in conversations]).order_by()
    return dict(rows.values_list("conversation").annotate(Count("pk")))


def turns_of(scope: Scope, conversation: Conversation) -> list[Turn]:
    """All turns of one's own conversation, in order."""
    turns = conversation.turns.filter(tenant=scope.tenant).select_related("conversation", "feedback")
    return list(turns.order_by("ordinal"))


def conversation(scope: Scope, conversation: UUID, lock: bool = False) -> Conversation:
    rows = own_conversations(scope)
    found = (rows.select_for_update() if lock else rows).filter(pk=conversation).first()
    if found is None:
        raise NotFound
    return found


def turn(scope: Scope, turn: UUID) -> Turn:
    found = (
        Turn.objects.select_related("conversation", "feedback")
        .filter(pk=turn, tenant=scope.tenant, conversation__person=asker(scope))
        .first()
    )
    if found is None:
        raise NotFound
    return found


@dataclass(frozen=True)
class SeenSource:
    """A source as a person may see it now; `passage` is None when it is gone or no longer open to them.

    `page_label` is what the document itself calls the page: "iv", "Costs". `alike` are the passages that say
    the same and are open to them, each with its page's label.
    """

    source: Source
    passage: Passage | None
    page_label: str = ""
    alike: tuple[tuple[Passage, str], ...] = ()

    @property
    def best(self) -> str:
        return self.passage.text[self.source.best_start : self.source.best_end] if self.passage else ""

    @property
    def replaced(self) -> bool:
        """The document has another text by now than the one that the answer was written from."""
        if self.passage is None:
            return False
        return self.source.version != self.passage.version.document.current_id

    @property
    def outdated(self) -> bool:
        """It is cited, and was replaced or withdrawn since."""
        return self.source.cited and (self.replaced or self.passage is None)


def sources_of(scope: Scope, turn: Turn) -> list[SeenSource]:
    """The sources of a turn, checked against what the person may see today."""
    return sources_of_turns(scope, [turn])[turn.id]


def sources_of_turns(scope: Scope, turns: Iterable[Turn]) -> dict[UUID, list[SeenSource]]:
    """The same for many turns, in three queries."""
    found: dict[UUID, list[SeenSource]] = {turn.id: [] for turn in turns}
    sources = list(Source.objects.filter(tenant=scope.tenant, turn__in=found).order_by("turn", "n"))
    alike = {source.pk: [UUID(id) for id in source.alike] for source in sources}
    wanted = {source.passage for source in sources}.union(*alike.values())
    rows = Passage.objects.filter(pk__in=wanted, version__document__in=visible_documents(scope))
    open_now = {passage.id: passage for passage in rows.select_related("version__document__library")}
    labels = page_labels(open_now.values())
    for source in sources:
        passage = open_now.get(source.passage)
        others = tuple((open_now[id], labels.get(id, "")) for id in alike[source.pk] if id in open_now)
        found[source.turn_id].append(SeenSource(source, passage, labels.get(source.passage, ""), others))
    return found


def _citing(scope: Scope, document: Document) -> QuerySet[Source]:
    return Source.objects.filter(tenant=scope.tenant, document=document.id, cited=True).order_by()


def answers_citing(scope: Scope, document: Document) -> QuerySet[Turn]:
    """A person's own answers that cite a document, newest first; `replaced`: a text that it no longer has."""
    cited = _citing(scope, document)
    current = [document.current_id] if document.current_id else []
    replaced = cited.filter(turn=OuterRef("pk")).exclude(version__in=current)
    own = Turn.objects.filter(tenant=scope.tenant, conversation__person=asker(scope))
    return (
        own.filter(pk__in=cited.values("turn"))
        .annotate(replaced=Exists(replaced))
        .select_related("conversation")
        .order_by("-created_at")
    )


@dataclass(frozen=True)
class OthersAnswers:
    """How many answers of others cite a document, by number of its version, the newest first."""

    versions: list[tuple[int, int]]
    current: int | None

    @property
    def count(self) -> int:
        return sum(count for _number, count in self.versions)

    @property
    def replaced(self) -> int:
        return sum(count for number, count in self.versions if number != self.current)


def answers_of_others(scope: Scope, document: Document) -> OthersAnswers | None:
    """Numbers alone, for whoever curates the library; None for everybody else."""
    if document.library_id not in scope.curates:
        return None
    cited = _citing(scope, document).exclude(turn__conversation__person=asker(scope))
    counts = dict(cited.values_list("version").annotate(Count("turn", distinct=True)))
    numbers = dict(document.versions.values_list("pk", "number"))
    versions = sorted(((numbers.get(pk, 0), count) for pk, count in counts.items()), reverse=True)
    return OthersAnswers(versions, numbers.get(document.current_id) if document.current_id else None)


def counting_sources(scope: Scope, turn: Turn | None = None) -> QuerySet[Source]:
    """What decides who else may see an answer: what the model was given, or what was found where it was
    given nothing that answers."""
    rows = Source.objects.filter(tenant=scope.tenant).order_by()
    counting = rows.filter(Q(given=True) | Q(turn__state=TurnState.NOT_IN_DOCUMENTS))
    return counting.filter(turn=turn) if turn else counting


def place_in_queue(scope: Scope, turn: Turn) -> int | None:
    """How many questions are before a waiting one; None when it is not waiting."""
    if turn.state not in OPEN_TURNS:
        return None
    return places_in_queue(scope, Kind.ANSWER, [turn.id]).get(turn.id)


def last_mode(conversation: Conversation) -> str:
    """How the last question of a conversation was to be answered, "" where there is none."""
    return conversation.turns.order_by("-ordinal").values_list("mode", flat=True).first() or ""
