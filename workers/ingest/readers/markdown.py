"""Markdown: what a reader of the rendered page sees, by its structure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from markdown_it import MarkdownIt
from markdown_it.token import Token

from workers.ingest.document import BlockKind, ReadDocument
from workers.ingest.errors import EmptyFile
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.html import add_html
from workers.ingest.readers.plain import text_of
from workers.ingest.readers.text import clean

LISTS = ("bullet_list_open", "ordered_list_open"), ("bullet_list_close", "ordered_list_close")


def read(file: File, progress: Progress) -> ReadDocument:
    progress(0, 1)
    builder = Builder("text/markdown")
    title = ""
    tokens = iter(MarkdownIt("commonmark").enable("table").parse(clean(text_of(file))))
    kind: BlockKind = "paragraph"
    level = depth = 0
    for token in tokens:
        if token.type == "heading_open":
            kind, level = "heading", int(token.tag[1:])
        elif token.type == "heading_close":
            kind, level = ("item", depth) if depth else ("paragraph", 0)
        elif token.type in LISTS[0] or token.type in LISTS[1]:
            depth += 1 if token.type in LISTS[0] else -1
            kind, level = ("item", depth - 1) if depth else ("paragraph", 0)
        elif token.type == "tr_open":
            builder.row(_cells(tokens))
        elif token.type == "inline":
            text = _text(token)
            title = title or (text if kind == "heading" and level == 1 else "")
            builder.block(kind, text, level)
        elif token.type in ("fence", "code_block"):
            builder.block("code", token.content)
        elif token.type == "html_block":
            _html(builder, token.content)
    progress(1, 1)
    return builder.finish(title)


def _cells(tokens: Iterator[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "tr_close":
            return
        if token.type == "inline":
            yield _text(token)


def _text(inline: Token) -> str:
    parts = []
    for token in inline.children or ():
        if token.type in ("text", "code_inline"):
            parts.append(token.content)
        elif token.type == "image":
            parts.append(_text(token))
        elif token.type in ("softbreak", "hardbreak"):
            parts.append("\n")
    return "".join(parts)


def _html(builder: Builder, source: str) -> None:
    with suppress(EmptyFile):  # a comment, or tags without text
        add_html(builder, source.encode(), "utf-8")
