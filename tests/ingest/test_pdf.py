"""PDF: text, structure, and boxes that fit the picture of the page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.ingest import make
from tests.ingest.conftest import Read
from workers.ingest.document import Box, ReadDocument
from workers.ingest.errors import NoSuchPage
from workers.ingest.pictures import page_picture


def paragraph(top: float, *lines: str) -> list[make.Line]:
    return [(72, top - 14 * number, 11, line) for number, line in enumerate(lines)]


def blocks(document: ReadDocument) -> list[tuple[str, str]]:
    return [(b.kind, document.text[b.start : b.end]) for page in document.pages for b in page.blocks]


def test_headings_paragraphs_items_and_rows_are_told_apart(read: Read) -> None:
    page = [
        (72, 780, 20, "Travel policy"),
        *paragraph(740, "The first paragraph runs over", "two lines of text.", "A new one follows here."),
        (72, 660, 111, "Who pays"),
        *paragraph(640, "• The office pays", "• Nobody else"),
        *[(x, 590, 11, t) for x, t in ((72, "Trains"), (250, "12"), (400, "14"))],
        *[(x, 576, 11, t) for x, t in ((72, "Planes"), (250, "2"), (400, "1"))],
    ]
    assert blocks(read("a.pdf", make.pdf([page]))) == [
        ("heading", "Travel policy"),
        ("paragraph", "The first paragraph runs over two lines of text."),
        ("paragraph", "A new one follows here."),
        ("heading", "Who pays"),
        ("item", "• The office pays"),
        ("item", "• Nobody else"),
        ("row", "Trains 12 14"),
        ("row", "Planes 2 1"),
    ]


def test_pages_keep_their_numbers_sizes_and_ranges(read: Read) -> None:
    document = read("a.pdf", make.pdf([[(72, 700, 12, "One")], [], [(72, 700, 12, "Three")]]))
    assert [(p.number, p.width, p.height) for p in document.pages] == [(n, 595, 842) for n in (1, 2, 3)]
    assert [document.text[p.start : p.end] for p in document.pages] == ["One", "", "Three"]


def test_what_lies_off_the_page_is_not_read(read: Read) -> None:
    assert read("a.pdf", make.pdf([[(72, 700, 12, "Shown"), (72, 2000, 12, "Hidden")]])).text == "Shown"


@pytest.mark.parametrize(
    "entries",
    [
        b"",
        b"/Rotate 90",
        b"/Rotate 180",
        b"/Rotate 270",
        b"/CropBox [50 100 500 800]",
        b"/CropBox [50 100 500 800] /Rotate 90",
    ],
)
def test_boxes_fit_the_picture(tmp_path: Path, read: Read, entries: bytes) -> None:
    data = make.pdf([[(90, 600, 30, "HIM"), (300, 200, 30, "WEM")]], entries)
    (tmp_path / "a.pdf").write_bytes(data)
    page = read("a.pdf", data).pages[0]
    assert page.width and len(page.words) == 2
    picture = Image.open(io.BytesIO(page_picture(tmp_path / "a.pdf", 1, round(page.width * 2)))).convert("L")
    for word in page.words:
        assert ink(picture, word.box) > 100
    everywhere = ink(picture, (0, 0, page.width, page.height or 0))
    assert sum(ink(picture, word.box) for word in page.words) >= 0.98 * everywhere


def ink(picture: Image.Image, box: Box) -> int:
    """Dark pixels in the box; the picture has two pixels a point."""
    x0, y0, x1, y1 = (round(side * 2) for side in box)
    within = max(x0 - 1, 0), max(y0 - 1, 0), min(x1 + 1, picture.width), min(y1 + 1, picture.height)
    return sum(picture.crop(within).histogram()[:128])


def test_a_picture_is_as_wide_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(make.pdf([[(72, 700, 12, "Hello")]]))
    assert Image.open(io.BytesIO(page_picture(path, 1, 800))).size == (800, 1132)
    with pytest.raises(NoSuchPage):
        page_picture(path, 2, 800)


def test_the_picture_of_an_endless_page_is_small(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(make.pdf([[(72, 700, 12, "Hello")]], size=(200, 200_000)))
    width, height = Image.open(io.BytesIO(page_picture(path, 1, 3000))).size
    assert width * height < 12_100_000
