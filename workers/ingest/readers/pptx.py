"""Presentations: a page a slide, with its title, texts, tables and the speaker's notes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pptx import Presentation
from pptx.slide import Slide
from pptx.util import Length

from workers.ingest.document import BlockKind, ReadDocument
from workers.ingest.readers import File, Progress
from workers.ingest.readers.builder import Builder

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
MAX_NESTING = 8


def read(file: File, progress: Progress) -> ReadDocument:
    with file.open("rb") as stream:
        presentation = Presentation(stream)
    slides = presentation.slides
    total = len(slides)
    progress(0, total)
    builder = Builder(MEDIA_TYPE)
    for number, slide in enumerate(slides, 1):
        builder.page()
        _slide(builder, slide)
        progress(number, total)
    return builder.finish(presentation.core_properties.title or "")


def _slide(builder: Builder, slide: Slide) -> None:
    title = slide.shapes.title
    if title is not None:
        builder.block("heading", title.text_frame.text, 1)
    title_id = title.shape_id if title is not None else None
    _shapes(builder, (s for s in slide.shapes if s.shape_id != title_id), 0)
    if slide.has_notes_slide:
        notes = slide.notes_slide.notes_text_frame
        for paragraph in notes.paragraphs if notes is not None else ():
            builder.block("paragraph", paragraph.text)


def _shapes(builder: Builder, shapes: Iterable[Any], depth: int) -> None:
    """From top to bottom, then left to right: the order in the file is that of drawing."""
    for shape in sorted(shapes, key=lambda s: (_length(s.top), _length(s.left))):
        if hasattr(shape, "shapes"):
            if depth < MAX_NESTING:
                _shapes(builder, shape.shapes, depth + 1)
        elif getattr(shape, "has_table", False):
            for row in shape.table.rows:
                builder.row(cell.text for cell in row.cells if not cell.is_spanned)
        elif shape.has_text_frame:
            _texts(builder, shape)


def _length(value: Length | None) -> int:
    return int(value or 0)


def _texts(builder: Builder, shape: Any) -> None:
    paragraphs = [p for p in shape.text_frame.paragraphs if p.text.strip()]
    # Several paragraphs in one frame are what a slide calls its points.
    kind: BlockKind = "item" if len(paragraphs) > 1 else "paragraph"
    for paragraph in paragraphs:
        builder.block(kind, paragraph.text, paragraph.level if kind == "item" else 0)
