"""An answer with its sources as a file for somebody's own papers: Markdown, Word, or a page to print.

It says that a machine wrote it, to people and to programs, how secret it is, and which of its sentences are
doubtful. Nothing in it loads or leads anywhere.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from muniment import __version__
from muniment.conversations import markdown, word
from muniment.conversations.models import Mode, Turn, TurnState
from muniment.conversations.queries import SeenSource, sources_of
from muniment.conversations.rendering import answer_html, quotes_html
from muniment.conversations.shown import EXPORTS, has_words, page_name
from muniment.conversations.statements import Statement, Verdict, read
from muniment.documents.queries import highest_label
from muniment.pages.errors import NotFound
from muniment.pages.templatetags.muniment_pages import label_name
from muniment.scope import Scope

CLOSED = gettext_lazy("This passage was deleted, or is no longer open to you.")
CONTENT_TYPES = {
    "md": "text/markdown; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "html": "text/html; charset=utf-8",
}
_NAME_CHARS = 60

# The page is a file of its own, so it cannot use the site's style sheets; its policy lets nothing else in.
STYLE = """
body { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 Georgia, serif; color: #111; }
h1, h2, h3, h4, h5, h6 { font-family: system-ui, sans-serif; line-height: 1.25; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.label, .note, .facts, .where { font-family: system-ui, sans-serif; font-size: 0.85rem; }
.label { padding: 0.3rem 0.6rem; border: 2px solid; font-weight: 600; text-transform: uppercase; }
.note { padding: 0.6rem; border: 1px solid #999; }
.question { white-space: pre-line; }
.cite { padding: 0 0.3rem; border: 1px solid #999; font: 0.75rem system-ui, sans-serif; }
.weak { text-decoration: underline dotted; }
.pill { padding: 0 0.3rem; border: 1px solid; font: 600 0.75rem system-ui, sans-serif; }
.pill { text-decoration: none; }
blockquote { margin: 0.5rem 0; padding-left: 0.8rem; border-left: 3px solid #999; }
table { border-collapse: collapse; }
th, td { border: 1px solid #999; padding: 0.2rem 0.5rem; text-align: left; }
code, pre { overflow-wrap: anywhere; white-space: pre-wrap; font-size: 0.8rem; }
section.source { break-inside: avoid; margin-bottom: 1.2rem; }
@page { margin: 2cm; }
"""
_STYLE_HASH = b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Source:
    """A passage that the model was given. Without `document_name` it was deleted, or is no longer open."""

    n: int
    cited: bool
    document_name: str = ""
    page_label: str = ""
    version: int | None = None
    replaced: bool = False
    sentence: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Answer:
    """What is written down. `id` is random: so the file's hash in the trail tells nothing of the words."""

    id: UUID
    question: str
    asked: datetime
    written: datetime
    state: str
    notes: list[str]
    label: str
    model: str
    made_by: str
    text: str
    quotes: bool
    statements: list[Statement]
    sources: list[Source]

    @property
    def numbers(self) -> list[int]:
        return [source.n for source in self.sources]

    @property
    def html(self) -> str:
        """Safe, and without a link: there is no site behind a file."""
        words = quotes_html if self.quotes else answer_html
        return words(self.text, dict.fromkeys(self.numbers, ""), self.statements)


@dataclass(frozen=True)
class File:
    name: str
    content_type: str
    content: bytes
    label: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def export(scope: Scope, turn: Turn, format: str) -> File:
    """One's own answer as a file. Raises `NotFound` where there is no answer, or no such format."""
    if format not in EXPORTS or not has_words(turn):
        raise NotFound
    seen = [source for source in sources_of(scope, turn) if source.source.given]
    label = highest_label(scope, {source.source.document for source in seen})
    answer = _answer(turn, seen, label)
    write = {"md": _markdown, "docx": _docx, "html": _html}[format]
    name = f"{slugify(turn.question)[:_NAME_CHARS].strip('-') or 'answer'}.{format}"
    return File(name, CONTENT_TYPES[format], write(answer), label)


def _answer(turn: Turn, seen: list[SeenSource], label: int) -> Answer:
    statements, quotes = read(turn.statements), turn.mode == Mode.QUOTE
    return Answer(
        id=uuid4(),
        question=turn.question,
        asked=turn.created_at,
        written=timezone.now(),
        state=turn.state,
        notes=list(_notes(turn, seen, statements)),
        label=label_name(label),
        model=turn.model,
        made_by=_made_by(turn.model, quotes),
        text=turn.answer,
        quotes=quotes,
        statements=statements,
        sources=[_source(source) for source in seen],
    )


def _made_by(model: str, quotes: bool) -> str:
    if quotes:
        words = _(
            "Chosen by a machine (%(model)s) from the passages below, word for word. It can choose wrongly."
        )
    else:
        words = _("Written by a machine (%(model)s) from the passages below. It can be wrong.")
    return words % {"model": model}


def _notes(turn: Turn, seen: list[SeenSource], statements: list[Statement]) -> Iterable[str]:
    """What must be known before the answer is relied on."""
    if statements:
        supported = sum(statement.verdict == Verdict.SUPPORTED for statement in statements)
        said = {"s": supported, "all": len(statements)}
        yield _("%(s)s of %(all)s sentences are supported by the passages.") % said
    elif turn.state == TurnState.WEAK:
        yield _("The answer names no passage. Compare it with the passages before you rely on it.")
    if turn.state == TurnState.STOPPED:
        yield _("The answer was stopped before its end.")
    if any(source.outdated for source in seen):
        yield _("A passage that this answer cites was replaced or withdrawn since.")


def _source(seen: SeenSource) -> Source:
    passage, source = seen.passage, seen.source
    if passage is None:
        return Source(source.n, source.cited)
    return Source(
        n=source.n,
        cited=source.cited,
        document_name=passage.version.document.name,
        page_label=page_name(passage, seen.page_label),
        version=passage.version.number,
        replaced=seen.replaced,
        sentence=" ".join(seen.best.split()),
        sha256=passage.sha256,
    )


def _where(source: Source) -> str:
    pieces = [source.document_name, source.page_label, _("version %(n)s") % {"n": source.version}]
    return ", ".join(filter(None, pieces))


def _remarks(source: Source) -> list[str]:
    replaced = [_("(replaced since)")] if source.replaced else []
    return replaced if source.cited else [*replaced, _("(read, not cited)")]


def _when(answer: Answer) -> str:
    asked, written = (date_format(at, "DATETIME_FORMAT") for at in (answer.asked, answer.written))
    return _("Asked %(asked)s · exported %(written)s") % {"asked": asked, "written": written}


def facts(answer: Answer) -> dict[str, str]:
    """For programs, by names that are not translated: front matter, properties, or meta elements."""
    return {
        "generated-by": f"machine: {answer.model}",
        "generator": f"Muniment {__version__}",
        "export": str(answer.id),
        "asked": answer.asked.isoformat(timespec="seconds"),
        "exported": answer.written.isoformat(timespec="seconds"),
        "state": answer.state,
        "label": answer.label,
        "answer-sha256": hashlib.sha256(answer.text.encode()).hexdigest(),
    }


def _html(answer: Answer) -> bytes:
    context = {
        "answer": answer,
        "facts": facts(answer),
        "when": _when(answer),
        "style": STYLE,
        "policy": POLICY,
    }
    return render_to_string("conversations/export.html", context).encode()


def _markdown(answer: Answer) -> bytes:
    write = markdown.quotes_markdown if answer.quotes else markdown.answer_markdown
    blocks = [
        _front_matter(facts(answer)),
        f"# {_('Answer of a machine')}",
        f"**{_('Label')}: {answer.label}**",
        f"## {_('Question')}",
        markdown.lines(answer.question),
        f"## {_('Answer')}",
        write(answer.text, answer.numbers, answer.statements),
        f"*{markdown.words(answer.made_by)}*",
        *map(markdown.words, answer.notes),
        f"## {_('Sources')}",
        *map(_markdown_source, answer.sources),
        _when(answer),
    ]
    return ("\n\n".join(filter(None, blocks)) + "\n").encode()


def _front_matter(values: dict[str, str]) -> str:
    """YAML, of which a JSON string is one; what YAML alone would break a line at is escaped."""
    return "\n".join(["---", *(f"{name}: {json.dumps(value)}" for name, value in values.items()), "---"])


def _markdown_source(source: Source) -> str:
    number = f"**\\[{source.n}\\]**"
    if not source.document_name:
        return f"{number} {CLOSED}"
    head = " ".join([number, markdown.words(_where(source)), *_remarks(source)])
    quoted = markdown.quoted(markdown.words(source.sentence))
    return "\n\n".join([head, quoted, f"{_('Passage')}, SHA-256: `{source.sha256}`"])


def _docx(answer: Answer) -> bytes:
    write = word.quote_paragraphs if answer.quotes else word.answer_paragraphs
    paragraphs = [
        word.paragraph(f"{_('Label')}: {answer.label}", bold=True),
        word.paragraph(_("Answer of a machine"), "Heading1"),
        word.paragraph(_("Question"), "Heading2"),
        word.paragraph(answer.question),
        word.paragraph(_("Answer"), "Heading2"),
        *write(answer.text, answer.numbers, answer.statements),
        word.paragraph(answer.made_by, italic=True),
        *map(word.paragraph, answer.notes),
        word.paragraph(_("Sources"), "Heading2"),
        *(paragraph for source in answer.sources for paragraph in _word_source(source)),
        word.paragraph(_when(answer)),
    ]
    return word.packed(paragraphs, answer.question[:200], facts(answer))


def _word_source(source: Source) -> list[word.Paragraph]:
    if not source.document_name:
        return [word.paragraph(f"[{source.n}] {CLOSED}")]
    return [
        word.paragraph(" ".join([f"[{source.n}]", _where(source), *_remarks(source)]), bold=True),
        word.paragraph(source.sentence, "Quote"),
        word.Paragraph((word.Run(f"{_('Passage')}, SHA-256: "), word.Run(source.sha256, code=True))),
    ]
