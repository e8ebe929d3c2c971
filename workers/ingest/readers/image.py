"""Pictures of text: scans and photographs as PNG, JPEG, TIFF or BMP; each frame is a page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile, LooksLikeAScan, TooLarge
from workers.ingest.readers import File, Progress, contents, ocr
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.page_layout import arrange
from workers.ingest.readers.page_lines import Line

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
# A4 at 600 dots an inch has 35 million.
MAX_PIXELS = 120_000_000
# What programs write that know no resolution: nobody scans so coarsely.
LEAST_DOTS_PER_INCH = 100
COARSE, ENOUGH = 150, 225
# Width of a page in inches, for a picture that says nothing usable of its size.
USUAL_WIDTH = 8.27


def read(file: File, progress: Progress) -> ReadDocument:
    """Raises LooksLikeAScan where there is no recognition, TooLarge, BrokenFile, EmptyFile."""
    if not ocr.recogniser.available:
        raise LooksLikeAScan
    with opened(file) as picture:
        return _read(picture, progress)


@contextmanager
def opened(file: File) -> Iterator[Image.Image]:
    """The picture, while it is worked on. Raises TooLarge, BrokenFile, for what is found meanwhile, too."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2  # Pillow refuses twice as much
    try:
        with Image.open(contents(file), formats=FORMATS) as picture:
            yield picture
    except Image.DecompressionBombError as error:
        raise TooLarge(limit=f"{MAX_PIXELS // 1_000_000} million pixels") from error
    except (OSError, SyntaxError, ValueError) as error:  # as Pillow has it for damaged files
        raise BrokenFile(type(error).__name__) from error


def _read(picture: Image.Image, progress: Progress) -> ReadDocument:
    total = int(getattr(picture, "n_frames", 1))
    builder = Builder(Image.MIME[picture.format or "PNG"])
    progress(0, total)
    pages: list[list[Line]] = []
    sizes = []
    unread: list[int] = []
    for index in range(total):
        picture.seek(index)
        frame, scale = _prepared(picture)
        sizes.append((frame.width / scale, frame.height / scale))
        try:
            pages.append(ocr.recogniser.lines(frame, scale))
        except ocr.NotRecognised:
            pages.append([])
            unread.append(index + 1)
        progress(index + 1, total)
    ocr.tell_unread(builder, unread, any(pages))
    for size, blocks in zip(sizes, arrange(pages, [height for _, height in sizes]), strict=True):
        builder.page("", *size)
        for kind, level, words in blocks:
            builder.words(kind, words, level)
    return builder.finish()


def upright(picture: Image.Image, mode: str) -> Image.Image:
    """The frame as people see it: on white, turned as its camera says."""
    frame = picture
    if frame.mode in ("RGBA", "LA", "P", "PA"):
        frame = frame.convert("RGBA")
        paper = Image.new("RGBA", frame.size, "white")
        frame = Image.alpha_composite(paper, frame)
    return ImageOps.exif_transpose(frame.convert(mode))


def _prepared(picture: Image.Image) -> tuple[Image.Image, float]:
    """The frame upright and grey, not larger than is useful; and its pixels a point."""
    frame = upright(picture, "L")
    told = float(picture.info.get("dpi", (0, 0))[0] or 0)
    dots = told if told >= LEAST_DOTS_PER_INCH else frame.width / USUAL_WIDTH
    # Coarse letters are recognised better when they are drawn larger.
    factor = ENOUGH / dots if dots < COARSE else 1.0
    factor = min(factor, (ocr.MAX_PIXELS / (frame.width * frame.height)) ** 0.5)
    if factor != 1:
        before = frame.width
        size = max(1, int(frame.width * factor)), max(1, int(frame.height * factor))
        frame = frame.resize(size, Image.Resampling.LANCZOS)
        dots *= frame.width / before
    return frame, dots / ocr.POINTS_PER_INCH
