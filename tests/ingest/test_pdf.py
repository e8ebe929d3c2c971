"""PDF: text, structure, and boxes that fit the picture of the page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from tests.ingest import make
from tests.ingest.conftest import Read
from workers.ingest.document import Box, ReadDocument
from workers.ingest.errors import EmptyFile, NoSuchPage
from workers.ingest.pictures import page_picture
from workers.ingest.split import split


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
        ("row", "Trains | 12 | 14"),
        ("row", "Planes | 2 | 1"),
    ]


@pytest.mark.parametrize("woven", [True, False])
def test_columns_are_read_one_after_the_other(read: Read, woven: bool) -> None:
    left = [(72, 700 - 14 * n, 11, f"Left line number {n} goes on and on") for n in range(8)]
    right = [(320, 700 - 14 * n, 11, f"right line number {n} follows it") for n in range(8)]
    lines = [line for pair in zip(left, right, strict=True) for line in pair] if woven else [*left, *right]
    title: make.Line = (72, 760, 18, "A title that stands over both of the columns")
    foot: make.Line = (72, 500, 11, "A closing sentence that runs over the width of this page, as some do.")
    document = read("a.pdf", make.pdf([[title, *lines, foot]]))
    order = [text for _, _, _, text in (title, *left, *right, foot)]
    assert document.text.split() == " ".join(order).split()


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


def running_document() -> bytes:
    """Five pages with a head and a foot; the foot gives the page's number."""
    texts = ("The first page says", "that the second goes on.", "Chapter 1", "Chapter 2", "Chapter 3")
    return make.pdf(
        [
            [
                (72, 800, 9, "Staff handbook"),
                (72, 760, 14, text),
                (72, 700, 11, "The same sentence stands on every page."),
                (72, 30, 9, "Version 3"),
                (300, 30, 9, f"Page {number + 4} of 9"),
            ]
            for number, text in enumerate(texts)
        ]
    )


def test_heads_feet_and_page_numbers_are_told_apart_after_the_first(read: Read) -> None:
    document = read("a.pdf", running_document())
    running = [text for kind, text in blocks(document) if kind == "running"]
    assert running == [
        text for number in range(5, 9) for text in ("Staff handbook", f"Version 3 Page {number} of 9")
    ]
    assert ("paragraph", "Staff handbook") in blocks(document)
    # What a page says at its top stays, though the number in it grows, and so does what is repeated within.
    assert [("heading", f"Chapter {n}") in blocks(document) for n in (1, 2, 3)] == [True] * 3
    assert document.text.count("The same sentence") == 5
    assert all(page.words for page in document.pages)


def test_no_passage_holds_a_running_line(read: Read) -> None:
    document = read("a.pdf", running_document())
    pieces = split(document, lambda texts: [len(text.split()) for text in texts], 100, 100)
    assert [document.text[piece.start : piece.end] for piece in pieces] == [piece.text for piece in pieces]
    assert [piece.text for piece in pieces if "Page 5" in piece.text] == []
    assert sum("Staff handbook" in piece.text for piece in pieces) == 1
    assert {piece.page for piece in pieces} == {1, 2, 3, 4, 5}
    assert all(piece.page == piece.page_end for piece in pieces)


def test_a_cell_begins_where_those_of_its_column_do_however_long_the_one_before_it_is(read: Read) -> None:
    def row(top: float, *cells: str) -> list[make.Line]:
        return [(x, top, 11, text) for x, text in zip((72, 112, 270, 420), cells, strict=False)]

    page = [
        *paragraph(740, "Whoever sees an incident tells others, as the table says for each of the levels."),
        *row(700, "Level", "Told at once", "Written report", "Closed"),
        *row(686, "1", "your own supervisor on shift", "within 3 working days, 9:00", "within 30"),
        *row(672, "2", "control room", "within 24 hours", "within 20"),
        *paragraph(644, "Level 1 is a near miss or"),
    ]
    assert blocks(read("a.pdf", make.pdf([page])))[1:] == [
        ("row", "Level | Told at once | Written report | Closed"),
        ("row", "1 | your own supervisor on shift | within 3 working days, 9:00 | within 30"),
        ("row", "2 | control room | within 24 hours | within 20"),
        ("paragraph", "Level 1 is a near miss or"),
    ]


def test_a_heading_within_a_table_stands_below_the_tables_title(read: Read) -> None:
    def row(top: float, *cells: str) -> list[make.Line]:
        return [(72 + 150 * number, top, 11, cell) for number, cell in enumerate(cells)]

    page = [
        (72, 780, 111, "Statement of cash flows"),
        *row(740, "Million", "2023", "2024"),
        (72, 726, 111, "Operating"),
        *row(712, "Income", "$ 5", "$ 7"),
        (72, 698, 111, "Investing"),
        *row(684, "Plants", "(2)", "(3)"),
        *paragraph(640, "Text of ordinary size makes up most of any page, and this is some of it."),
    ]
    document = read("a.pdf", make.pdf([page]))
    assert [(b.kind, b.level) for b in document.pages[0].blocks] == [
        ("heading", 1),
        ("row", 0),
        ("heading", 6),
        ("row", 0),
        ("heading", 6),
        ("row", 0),
        ("paragraph", 0),
    ]
    pieces = split(document, lambda texts: [len(text.split()) for text in texts], 4, 8)
    assert [piece.heading for piece in pieces if "Plants" in piece.text] == [
        "Statement of cash flows › Investing › Million | 2023 | 2024"
    ]


def test_bookmarks_make_headings_of_lines_that_look_like_text(read: Read) -> None:
    page = [(72, 700, 11, "Second part"), *paragraph(660, "Ordinary text", "follows here.")]
    data = make.pdf(
        [page, page],
        more=[
            b"<< /Type /Outlines /First 10 0 R /Last 10 0 R /Count 1 >>",
            b"<< /Title (Second Part) /Parent 9 0 R /Dest [7 0 R /Fit] >>",
        ],
        catalogue=b"/Outlines 9 0 R",
    )
    found = read("a.pdf", data)
    assert blocks(found) == [
        ("paragraph", "Second part"),
        ("paragraph", "Ordinary text follows here."),
        ("heading", "Second part"),
        ("paragraph", "Ordinary text follows here."),
    ]


def test_pages_with_nothing_but_their_numbers_are_empty(read: Read) -> None:
    with pytest.raises(EmptyFile):
        read("a.pdf", make.pdf([[(300, 30, 9, str(number))] for number in range(1, 6)]))


def filled_form() -> bytes:
    """A label, its field with a value that is drawn, a tick that is not set, and a hidden field."""
    field = b"<< /Type /Annot /Subtype /Widget /FT %s /T (%s) /V %s /Rect [%s] /F %d %s >>"
    shown = b"BT /F1 11 Tf 2 4 Td (Ann Lee) Tj ET"
    appearance = b"/Type /XObject /Subtype /Form /BBox [0 0 150 16] /Resources << /Font << /F1 3 0 R >> >>"
    return make.pdf(
        [[(72, 700, 11, "Name:"), (72, 650, 11, "Thank you.")]],
        b"/Annots [7 0 R 8 0 R 9 0 R]",
        catalogue=b"/AcroForm << /Fields [7 0 R 8 0 R 9 0 R] >>",
        more=[
            field % (b"/Tx", b"name", b"(Ann Lee)", b"150 696 300 712", 4, b"/AP << /N 10 0 R >>"),
            field % (b"/Btn", b"tick", b"/Off", b"150 646 160 656", 4, b""),
            field % (b"/Tx", b"secret", b"(hidden)", b"150 600 300 616", 2, b""),
            make.stream(shown, appearance),
        ],
    )


def test_what_is_filled_into_a_form_is_read_beside_its_label(tmp_path: Path, read: Read) -> None:
    document = read("form.pdf", filled_form())
    assert document.text.split() == ["Name:", "Ann", "Lee", "Thank", "you."]
    (tmp_path / "form.pdf").write_bytes(filled_form())
    picture = Image.open(io.BytesIO(page_picture(tmp_path / "form.pdf", 1, 1190))).convert("L")
    word = next(w for w in document.pages[0].words if document.text[w.start : w.end] == "Lee")
    assert ink(picture, word.box) > 100
