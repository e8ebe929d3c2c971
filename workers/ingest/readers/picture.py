"""A page of a PDF as a PNG picture."""

from __future__ import annotations

import io
from pathlib import Path

import pypdfium2 as pdfium

from workers.ingest.errors import BrokenFile, NoSuchPage
from workers.ingest.readers.pdf import open_document

# A page may be as long as it likes; its picture may not.
MAX_PIXELS = 12_000_000


def render(path: Path, page: int, width: int) -> bytes:
    """PNG of page `page` (from 1), `width` pixels wide, or narrower where the page is extremely tall."""
    document = open_document(path)
    if not 1 <= page <= len(document):
        raise NoSuchPage
    try:
        document.init_forms()  # else what people filled in is not drawn
        opened = document[page - 1]
        page_width, page_height = opened.get_size()
        if page_width <= 0 or page_height <= 0:
            raise BrokenFile("page size")
        # PDFium rounds up: half a pixel less gives just this width.
        scale = min((width - 0.5) / page_width, (MAX_PIXELS / (page_width * page_height)) ** 0.5)
        picture = opened.render(scale=scale, rev_byteorder=True).to_pil()
    except pdfium.PdfiumError as error:
        raise BrokenFile("render") from error
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()
