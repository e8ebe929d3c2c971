"""A page of a PDF or of a scan as a PNG picture."""

from __future__ import annotations

import io
from pathlib import Path

import pypdfium2 as pdfium
from PIL import Image

from workers.ingest.errors import BrokenFile, NoSuchPage
from workers.ingest.readers import image, registry
from workers.ingest.readers.pdf import open_document

# A page may be as long as it likes; its picture may not.
MAX_PIXELS = 12_000_000


def render(path: Path, page: int, width: int) -> bytes:
    """PNG of page `page` (from 1), `width` pixels wide, or narrower where the page is extremely tall."""
    is_image = registry.detect(path, name="", max_unpacked=0) == "image"
    picture = (_frame if is_image else _page)(path, page, width)
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _page(path: Path, page: int, width: int) -> Image.Image:
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
        drawn: Image.Image = opened.render(scale=scale, rev_byteorder=True).to_pil()
        return drawn
    except pdfium.PdfiumError as error:
        raise BrokenFile("render") from error


def _frame(path: Path, page: int, width: int) -> Image.Image:
    with image.opened(path) as picture:
        if not 1 <= page <= int(getattr(picture, "n_frames", 1)):
            raise NoSuchPage
        picture.seek(page - 1)
        frame = image.upright(picture, "RGB")
        scale = min(width / frame.width, (MAX_PIXELS / (frame.width * frame.height)) ** 0.5)
        size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        return frame.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
