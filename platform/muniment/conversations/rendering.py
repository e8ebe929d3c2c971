"""A model's words made safe for a page: an allow-list of Markdown, and citations as links to sources.

The words come from a model that read documents of anybody: nothing in them may load, link or run anything.
The only links are ours, to passages of this turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from typing import Any

import nh3
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from muniment.conversations.statements import Statement, Verdict

CITATION = re.compile(r"([ \t]*)\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
EXCERPT_CHARACTERS = 240
# The page has a heading for the question already, so an answer's own begin below it.
HEADINGS_BELOW = 2

# Characters nobody sees: controls, marks that turn the direction of text, tags, variation selectors.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e01ef\ud800-\udfff]"
)
# A pair of brackets that nothing else needs, punctuation to Markdown, marks where statements begin and end.
_OPEN, _CLOSE = "\u2e28", "\u2e29"
_PLACES = re.compile(f"[{_OPEN}{_CLOSE}]")
PLACE = re.compile(rf"{_OPEN}(\d+){_CLOSE}|{_CLOSE}(\d+){_OPEN}")
_LEAD = re.compile(r"\s*(?:(?:[-*+•]|\d{1,3}[.)]|#{1,6}|>)\s+|\|\s*)*")
_TAIL = re.compile(r"(?:\s|\|)*$")
DOUBTS: dict[str, str | Promise] = {
    "number": gettext_lazy("a number is not in the passages"),
    "unit": gettext_lazy("a unit is another in the passages"),
    "code": gettext_lazy("a code is not in the passages"),
    "name": gettext_lazy("a name is not in the passages"),
    "negation": gettext_lazy("the passage may say the opposite"),
}
_CLASSES = {"cite", "weak", "pill weak", "pill bad"}
_TAGS = {
    *("p", "br", "hr", "blockquote", "pre", "h3", "h4", "h5", "h6", "ul", "ol", "li"),
    *("table", "thead", "tbody", "tr", "th", "td"),
    *("strong", "em", "s", "code", "a", "span"),
}
_ATTRIBUTES = {
    "a": {"class", "href", "data-open", "data-n", "aria-label"},
    "span": {"class"},
    "ol": {"start"},
}


@dataclass(frozen=True)
class Excerpt:
    """A piece of a passage around its best sentence, cut at words; `…` stands for what was left out."""

    before: str
    best: str
    after: str


def answer_html(text: str, sources: Mapping[int, str], statements: Sequence[Statement] = ()) -> str:
    """Safe HTML of an answer. `sources` maps each number that may be cited to its address, "" for none.

    Each of `statements` is followed by the sources it was found to rest on and, where that is little, by what
    is wrong; then the model's own numbers are dropped. Without any these stay, but for numbers that are not
    among the sources: a model made them up.
    """
    env = {"sources": dict(sources), "statements": list(statements)}
    rendered = PLACE.sub("", _markdown().render(_marked(text, statements), env))
    return _cleaned(rendered, frozenset(filter(None, sources.values())))


def quotes_html(text: str, sources: Mapping[int, str], statements: Sequence[Statement]) -> str:
    """Safe HTML of sentences of the documents, each with its source; nothing in them is Markdown."""
    blocks = []
    for statement in statements:
        words = escape(UNSEEN.sub("", text[statement.start : statement.end])).replace("\n", "<br>")
        chips = " ".join(_chip(n, sources[n]) for n in statement.sources if n in sources)
        blocks.append(f"<blockquote><p>{words} {chips}</p></blockquote>")
    return _cleaned("".join(blocks), frozenset(filter(None, sources.values())))


def tree_of(text: str, statements: Sequence[Statement] = ()) -> SyntaxTreeNode:
    """An answer as the allow-list understands it; a PLACE is where a statement begins or ends."""
    return SyntaxTreeNode(_markdown().parse(_marked(text, statements)))


def doubt_of(statement: Statement) -> str:
    """What is said of a statement that is not supported."""
    weak = statement.verdict == Verdict.WEAK
    return str(DOUBTS.get(statement.reason) or (_("weakly supported") if weak else _("not supported")))


def _marked(text: str, statements: Sequence[Statement]) -> str:
    marked = _with_places(text, statements) if statements else _PLACES.sub("", text)
    return UNSEEN.sub("", marked)


def _with_places(text: str, statements: Sequence[Statement]) -> str:
    """Puts a mark where each statement begins, behind what Markdown has at the start of a line, and ends."""
    pieces, at = [], 0
    for number, statement in enumerate(statements):
        begins = _LEAD.match(text, statement.start, statement.end)
        start = begins.end() if begins else statement.start
        end = statement.end - len(_TAIL.search(text[start : statement.end])[0])  # type: ignore[index]  # may be ""
        pieces += [_PLACES.sub(" ", text[at:start]), f"{_OPEN}{number}{_CLOSE}"]
        pieces += [_PLACES.sub(" ", text[start:end]), f"{_CLOSE}{number}{_OPEN}"]
        at = end
    return "".join([*pieces, _PLACES.sub(" ", text[at:])])


def excerpt(text: str, start: int, end: int, limit: int = EXCERPT_CHARACTERS) -> Excerpt:
    """About `limit` characters of a passage around text[start:end], its white space made single spaces."""
    before, best, after = (" ".join(part.split()) for part in (text[:start], text[start:end], text[end:]))
    gap_before = " " if text[:start][-1:].isspace() or text[start:end][:1].isspace() else ""
    gap_after = " " if text[end:][:1].isspace() or text[start:end][-1:].isspace() else ""
    best = _head(best, limit)
    room = max(0, limit - len(best))
    # What follows explains more than what went before, so it gets what `before` leaves.
    before = _tail(before, room // 3)
    after = _head(after, max(0, room - len(before)))
    return Excerpt(before + gap_before if before else "", best, gap_after + after if after else "")


def _head(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[: limit + 1]
    kept = cut.rsplit(" ", 1)[0] if " " in cut else text[:limit]
    return f"{kept.rstrip()} …" if limit else "…"


def _tail(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    cut = text[len(text) - limit - 1 :]
    kept = cut.split(" ", 1)[1] if " " in cut else text[len(text) - limit :]
    return f"… {kept.lstrip()}" if limit else "…"


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False})
    markdown.enable(["table", "strikethrough"])
    # What could lead out of the page stays the plain text that it is.
    markdown.disable(["link", "image", "autolink", "reference", "html_inline", "html_block"])
    markdown.core.ruler.push("headings_below", _lower_headings)
    markdown.core.ruler.before("text_join", "nothing_hidden_in_entities", _clean_entities)
    markdown.add_render_rule("text", _text_with_citations)
    return markdown


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(6, int(token.tag[1:]) + HEADINGS_BELOW)}"


def _clean_entities(state: StateCore) -> None:
    """A place written as an entity would put a citation where no statement is; nor may what nobody sees."""
    for token in state.tokens:
        for child in token.children or ():
            if child.type == "text_special":
                child.content = _PLACES.sub("", UNSEEN.sub("", child.content))


def _text_with_citations(
    _renderer: RendererHTML, tokens: Sequence[Token], at: int, _options: Any, env: Any
) -> str:
    def link(found: re.Match[str]) -> str:
        numbers = dict.fromkeys(int(n) for n in found[2].split(","))
        chips = [_chip(n, env["sources"][n]) for n in numbers if n in env["sources"]]
        return found[1] + " ".join(chips) if chips else ""

    # Escaping leaves brackets and digits alone, so numbers can be found after it.
    escaped = escape(tokens[at].content)
    if not env["statements"]:
        return CITATION.sub(link, escaped)
    return PLACE.sub(lambda found: _at_place(found, env), CITATION.sub("", escaped))


def _at_place(found: re.Match[str], env: Any) -> str:
    """What stands where a statement begins or ends."""
    number = int(found[1] or found[2])
    statement: Statement = env["statements"][number]
    doubtful = statement.verdict != Verdict.SUPPORTED
    if found[1]:
        return '<span class="weak">' if doubtful else ""
    chips = [_chip(n, env["sources"][n]) for n in statement.sources if n in env["sources"]]
    behind = [*chips, _doubt(statement)] if doubtful else chips
    return ("</span>" if doubtful else "") + "".join(f" {piece}" for piece in behind)


def _doubt(statement: Statement) -> str:
    tone = "weak" if statement.verdict == Verdict.WEAK else "bad"
    return f'<span class="pill {tone}">{escape(doubt_of(statement))}</span>'


def _chip(n: int, url: str) -> str:
    if not url:
        return f'<span class="cite">{n}</span>'
    label = escape(_("Source %(n)s") % {"n": n})
    return f'<a class="cite" href="{escape(url)}" data-open="" data-n="{n}" aria-label="{label}">{n}</a>'


def _cleaned(html: str, urls: frozenset[str]) -> str:
    """The last wall: whatever the renderer made, only these tags and our own addresses leave."""
    return nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        attribute_filter=_own_values(urls),
        url_schemes=set(),
        link_rel=None,
    )


def _own_values(urls: frozenset[str]) -> Callable[[str, str, str], str | None]:
    def keep(_tag: str, name: str, value: str) -> str | None:
        if name == "href":
            return value if value in urls else None
        if name == "class":
            return value if value in _CLASSES else None
        return value

    return keep
