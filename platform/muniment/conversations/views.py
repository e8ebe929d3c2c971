"""Asking, reading answers, and one's own history of questions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from muniment.accounts.requests import scope_of_request, wants_part
from muniment.conversations import exports, queries, services, shown
from muniment.conversations.context import workplace
from muniment.conversations.models import Conversation, Mode, Turn
from muniment.conversations.receipts import has_receipt
from muniment.conversations.shown_receipt import shown_receipt
from muniment.documents.models import Document
from muniment.documents.queries import document as one_document
from muniment.documents.queries import document_counts, readable_version, visible_documents
from muniment.documents.queries import page as version_page
from muniment.documents.viewer import Cited, show_page
from muniment.pages.downloads import as_download
from muniment.pages.errors import Invalid, NotFound, Problem
from muniment.registry.queries import present_engine
from muniment.scope import Scope
from muniment.tenancy.models import Library
from muniment.tenancy.queries import readable_libraries, tenant_of

PAGE = 30
# Rows of a list that stands on somebody else's page.
PART = 10


class RenameForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("Title"), max_length=120)


@require_GET
def new_question(request: HttpRequest) -> HttpResponse:
    """The empty page; `library` and `document` in the address narrow what is searched."""
    scope = scope_of_request(request)
    elsewhere = workplace(scope)
    if elsewhere:
        return redirect(elsewhere)
    libraries, documents = _asked_where(scope, request.GET)
    text = request.GET.get("question", "")[: settings.QUESTION_LIMIT_CHARS]
    context = _page_context(scope, None) | {"composer": _composer(scope, None, libraries, documents, text)}
    return render(request, "conversations/ask.html", context)


@require_POST
def ask(request: HttpRequest) -> HttpResponse:
    """A question from the form: a new conversation, or the next turn of one's own."""
    scope = scope_of_request(request)
    given = request.POST.get("conversation", "")
    conversation = queries.conversation(scope, _uuid(given)) if given else None
    libraries, documents = _asked_where(scope, request.POST)
    try:
        turn = services.ask(
            scope,
            request.POST.get("question", ""),
            conversation.id if conversation else None,
            [library.id for library in libraries],
            [document.id for document in documents],
            _mode(request.POST),
        )
    except NotFound:
        raise
    except Problem as problem:
        return _not_asked(request, scope, conversation, libraries, documents, problem)
    page = reverse("conversation", args=[turn.conversation_id])
    if not getattr(request, "htmx", False):
        return redirect(f"{page}#turn-{turn.id}")
    if conversation is None:
        return HttpResponse(headers={"HX-Redirect": page})
    return _turn_partial(request, scope, turn)


def _not_asked(
    request: HttpRequest,
    scope: Scope,
    conversation: Conversation | None,
    libraries: list[Library],
    documents: list[Document],
    problem: Problem,
) -> HttpResponse:
    """The form again, with what was written and a sentence that says what to do."""
    text = request.POST.get("question", "")
    composer = _composer(scope, conversation, libraries, documents, text, str(problem.detail))
    composer["quote"] = _mode(request.POST) == Mode.QUOTE
    context = _page_context(scope, conversation) | {"composer": composer}
    if not getattr(request, "htmx", False):
        return render(request, "conversations/ask.html", context, status=problem.status)
    response = render(request, "conversations/_composer.html", context, status=422)
    response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#composer", "outerHTML"
    return response


@require_POST
def ask_again(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """The same question once more, as the next turn."""
    scope = scope_of_request(request)
    turn = queries.turn(scope, turn_id)
    again = services.ask(scope, turn.question, turn.conversation_id, mode=Mode(turn.mode))
    return redirect(f"{reverse('conversation', args=[turn.conversation_id])}#turn-{again.id}")


@require_GET
def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """All turns. That they were opened is written down before they leave."""
    scope = scope_of_request(request)
    row = queries.conversation(scope, conversation_id)
    services.record_opened(scope, row)
    context = _page_context(scope, row) | {"composer": _composer(scope, row)}
    return render(request, "conversations/ask.html", context)


@require_GET
def history(request: HttpRequest) -> HttpResponse:
    scope = scope_of_request(request)
    words = " ".join(request.GET.get("q", "").split())[:200]
    page: Any = Paginator(queries.find_conversations(scope, words), PAGE).get_page(request.GET.get("page"))
    page.object_list = shown.listed(scope, list(page.object_list))
    context = {"conversations": page, "q": words, "ask_url": reverse("ask-page")}
    return render(request, "conversations/history.html", context)


@require_POST
def rename(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    try:
        services.rename(scope_of_request(request), conversation_id, request.POST.get("title", ""))
    except Invalid as problem:
        messages.error(request, str(problem.detail))
    return redirect("conversation", conversation_id)


@require_POST
def delete(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    services.delete(scope_of_request(request), conversation_id)
    messages.success(request, _("The conversation was deleted."))
    return redirect("conversations")


@require_GET
def turn(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """One turn as it stands now."""
    scope = scope_of_request(request)
    return _turn_partial(request, scope, queries.turn(scope, turn_id))


@require_POST
def stop(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    turn = services.stop(scope_of_request(request), turn_id)
    if getattr(request, "htmx", False):
        return HttpResponse(status=204)
    return redirect("conversation", turn.conversation_id)


@require_POST
def rate(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    scope = scope_of_request(request)
    rating, reason = request.POST.get("rating", ""), request.POST.get("reason", "")
    if rating == "private":
        feedback = services.keep_rating_private(scope, turn_id)
    else:
        value = {"up": 1, "down": -1}.get(rating, 0)
        feedback = services.rate(scope, turn_id, value, reason, shared=bool(request.POST.get("share")))
    if not getattr(request, "htmx", False):
        return redirect("conversation", feedback.turn.conversation_id)
    context = {"turn": shown.turn(scope, queries.turn(scope, turn_id))}
    return render(request, "conversations/_feedback.html", context)


@require_GET
def source(request: HttpRequest, turn_id: UUID, n: int) -> HttpResponse:
    """The page of a source, with its words marked and the way to the turn's other citations."""
    scope = scope_of_request(request)
    row = queries.turn(scope, turn_id)
    opened = [seen for seen in queries.sources_of(scope, row) if seen.passage]
    seen = next((seen for seen in opened if seen.source.n == n), None)
    if seen is None or seen.passage is None:
        raise NotFound
    version = readable_version(scope, seen.passage.version_id)
    best = seen.source.best_start, seen.source.best_end
    page = version_page(version, seen.source.page)
    citation = _citation(row, seen, opened)
    return show_page(request, scope, version, page, Cited(seen.passage, *best), citation=citation)


@require_GET
def receipt(request: HttpRequest, turn_id: UUID) -> HttpResponse:
    """What made an answer, for its asker. It repeats the answer's words, so it counts as opening them."""
    scope = scope_of_request(request)
    row = queries.turn(scope, turn_id)
    if not has_receipt(row):
        raise NotFound
    services.record_opened(scope, row.conversation)
    back = f"{reverse('conversation', args=[row.conversation_id])}#turn-{row.id}"
    context = {"receipt": shown_receipt(scope, row), "back_url": back}
    return render(request, "conversations/receipt.html", context)


@require_GET
def export(request: HttpRequest, turn_id: UUID, format: str) -> HttpResponse:
    """An answer with its sources as a file: always a download, never shown by the browser in our name."""
    scope = scope_of_request(request)
    row = queries.turn(scope, turn_id)
    file = exports.export(scope, row, format)
    services.record_exported(scope, row, format, file.sha256, file.label)
    return as_download(HttpResponse(file.content, content_type=file.content_type), file.name)


@require_GET
def document_answers(request: HttpRequest, document_id: UUID) -> HttpResponse:
    """One's own answers that cite a document, and for who curates it how many others there are."""
    scope = scope_of_request(request)
    row = one_document(scope, document_id)
    others = queries.answers_of_others(scope, row)
    services.record_answers_viewed(scope, row, counted=others is not None)
    part = wants_part(request)
    answers = Paginator(queries.answers_citing(scope, row), PART if part else PAGE)
    page: Any = answers.get_page(request.GET.get("page"))
    page.object_list = [shown.citing(turn) for turn in page.object_list]
    context = {
        "document": {"name": row.name, "url": reverse("document", args=[row.id])},
        "answers": page,
        "others": others,
        "all_url": reverse("document-answers", args=[row.id]) if part and page.has_next() else "",
    }
    template = "conversations/_citing.html" if part else "conversations/citing.html"
    return render(request, template, context)


def _citation(row: Turn, seen: queries.SeenSource, opened: list[queries.SeenSource]) -> dict[str, Any]:
    """Steps from citation to citation; from a source that the answer does not cite, through all of them."""
    cited = [source for source in opened if source.source.cited]
    steps = cited if seen in cited else opened
    at = steps.index(seen)
    return {
        "n": seen.source.n,
        "index": at + 1,
        "count": len(steps),
        "previous_url": shown.source_url(row, steps[at - 1]) if at else "",
        "next_url": shown.source_url(row, steps[at + 1]) if at + 1 < len(steps) else "",
    }


def _turn_partial(request: HttpRequest, scope: Scope, turn: Turn) -> HttpResponse:
    context = {"turn": shown.turn(scope, turn), "conversation": turn.conversation}
    return render(request, "conversations/_turn.html", context)


def _page_context(scope: Scope, row: Conversation | None) -> dict[str, Any]:
    if row is None:
        return {"conversation": None, "turns": []}
    return {
        "conversation": {
            "id": row.id,
            "title": row.title,
            "url": reverse("conversation", args=[row.id]),
            "rename_url": reverse("rename-conversation", args=[row.id]),
            "delete_url": reverse("delete-conversation", args=[row.id]),
        },
        "turns": shown.turns(scope, queries.turns_of(scope, row)),
        "rename_form": RenameForm(initial={"title": row.title}),
    }


def _composer(
    scope: Scope,
    conversation: Conversation | None,
    libraries: Iterable[Library] = (),
    documents: Iterable[Document] = (),
    text: str = "",
    error: str = "",
) -> dict[str, Any]:
    """Where a question is written. A conversation keeps the place that its first question chose."""
    chosen = {library.id for library in libraries}
    counts = document_counts(scope)
    engine = present_engine()
    return {
        "ask_url": reverse("ask"),
        "conversation": conversation.id if conversation else "",
        "where": shown.place_names(scope, [conversation])[conversation.id] if conversation else "",
        "libraries": [
            {
                "slug": library.slug,
                "name": library.name,
                "chosen": library.id in chosen,
                "documents": counts.get(library.id, 0),
            }
            for library in readable_libraries(scope)
        ],
        "documents": [{"id": document.id, "name": document.name} for document in documents],
        "max_chars": settings.QUESTION_LIMIT_CHARS,
        "placeholder": _("Ask a further question …") if conversation else _("Ask about your documents …"),
        "text": text,
        "error": error,
        "model_name": engine.model if engine else settings.LANGUAGE_MODEL,
        "quote": conversation is not None and queries.last_mode(conversation) == Mode.QUOTE,
        "quotes_only": tenant_of(scope).quotes_only,
        "blocked": _blocked(scope, counts),
    }


def _mode(given: Any) -> Mode:
    return Mode.QUOTE if given.get("quote") else Mode.ANSWER


def _blocked(scope: Scope, counts: dict[UUID, int]) -> str:
    if not scope.libraries:
        return _("No library is open to you yet. Ask your administrator for access.")
    if any(counts.values()):
        return ""
    if scope.contributes:
        return _("Your libraries have no documents yet. Upload some, then ask.")
    return _("Your libraries have no documents yet. Ask whoever looks after them to upload some.")


def _asked_where(scope: Scope, given: Any) -> tuple[list[Library], list[Document]]:
    """Libraries by slug and documents by id, from a form or an address; raises `NotFound` for any other."""
    slugs = set(filter(None, given.getlist("library")))
    ids = {_uuid(text) for text in filter(None, given.getlist("document"))}
    libraries = list(readable_libraries(scope).filter(slug__in=slugs))
    documents = list(visible_documents(scope).filter(pk__in=ids))
    if len(libraries) != len(slugs) or len(documents) != len(ids):
        raise NotFound
    return libraries, documents


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound from error
