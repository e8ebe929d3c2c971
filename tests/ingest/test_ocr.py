"""Pictures of text: recognised with boxes that fit, within their time, and told where they were not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import override_settings
from PIL import Image, ImageChops

from tests.ingest import make
from tests.ingest.conftest import Read
from tests.ingest.test_pdf import ink
from workers.ingest import errors
from workers.ingest.document import ReadDocument
from workers.ingest.limits import MIB, Limits
from workers.ingest.pictures import page_picture
from workers.ingest.sandbox import read_in_child

LINES = ("The caretaker keeps the spare key", "in the second drawer of the desk.")


def test_a_scanned_page_is_read_with_boxes_that_fit(tmp_path: Path, read: Read) -> None:
    data = make.scan(LINES)
    document = read("scan.pdf", data)
    assert document.text == " ".join(LINES)
    assert document.language == "en"
    assert (document.pages[0].width, document.pages[0].height) == make.A4
    (tmp_path / "scan.pdf").write_bytes(data)
    assert_boxes_fit(document, tmp_path / "scan.pdf", 1)


def assert_boxes_fit(document: ReadDocument, path: Path, number: int) -> None:
    """Each word's box has ink in the page's picture, and hardly any ink lies outside of boxes."""
    page = document.pages[number - 1]
    words = [document.text[word.start : word.end] for word in page.words]
    assert words == document.text[page.start : page.end].split()
    picture = Image.open(io.BytesIO(page_picture(path, number, 1190))).convert("L")
    everywhere = ink(picture, (0, 0, page.width or 0, page.height or 0))
    assert all(ink(picture, word.box) > 20 for word in page.words)
    assert sum(ink(picture, word.box) for word in page.words) >= 0.95 * everywhere


@pytest.mark.parametrize(
    ("data", "number"),
    [
        (make.picture_of(LINES), 1),
        (make.picture_of(LINES, "TIFF", frames=2), 2),
        (make.picture_of(LINES, "JPEG", turned=90, camera=6), 1),
    ],
    ids=["png", "second frame", "camera held upright"],
)
def test_the_boxes_of_a_picture_fit_as_it_is_shown(
    tmp_path: Path, read: Read, data: bytes, number: int
) -> None:
    document = read("a", data)
    (tmp_path / "picture").write_bytes(data)
    assert_boxes_fit(document, tmp_path / "picture", number)
    with pytest.raises(errors.NoSuchPage):
        page_picture(tmp_path / "picture", 3, 800)


def test_what_a_picture_claims_to_be_is_refused_when_it_is_drawn_too(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(make.png_claiming(60_000, 60_000))
    with pytest.raises(errors.TooLarge):
        page_picture(tmp_path / "a.png", 1, 800)


def test_a_page_that_lies_on_its_side_is_read(read: Read) -> None:
    lines = LINES * 6
    document = read("side.png", make.picture_of(lines, turned=90))
    assert " ".join(LINES) in document.text


def test_a_photograph_with_a_shadow_over_it_is_read(read: Read) -> None:
    page = make.drawn(LINES * 6).point(lambda grey: 100 + 155 * grey // 255)
    shadow = Image.linear_gradient("L").rotate(270).point(lambda grey: 255 - 2 * grey // 3).resize(page.size)
    assert read("photo.png", make.saved(ImageChops.multiply(page, shadow))).text == " ".join(LINES * 6)


def test_words_on_coloured_cells_are_read(read: Read) -> None:
    page = make.drawn(("Category of the participants", *LINES * 3))
    page.paste(page.crop((0, 0, page.width, 360)).point(lambda grey: grey * 140 // 255), (0, 0))
    assert read("table.png", make.saved(page)).text.startswith("Category of the participants")


def test_only_pages_without_text_are_recognised(read: Read) -> None:
    document = read("mixed.pdf", make.scan(LINES, typed="This page was typed."))
    assert [document.text[page.start : page.end] for page in document.pages] == [
        " ".join(LINES),
        "This page was typed.",
    ]


def test_a_page_number_on_a_scan_does_not_hide_it(read: Read) -> None:
    assert " ".join(LINES) in read("scan.pdf", make.scan(LINES, stamp="Page 7")).text


@pytest.mark.parametrize("made", [make.stamped, make.nameless_letter])
def test_what_a_page_shows_by_a_stamp_or_a_nameless_font_is_read(
    read: Read, made: Callable[[tuple[str, ...]], bytes]
) -> None:
    assert " ".join(LINES) in read("a.pdf", made(LINES)).text


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP"])
def test_pictures_are_read(read: Read, form: str) -> None:
    document = read(f"a.{form.lower()}", make.picture_of(LINES, form))
    assert document.text == " ".join(LINES)
    assert document.media_type == f"image/{form.lower()}"


def test_a_tiff_has_a_page_a_frame(read: Read) -> None:
    document = read("a.tiff", make.picture_of(LINES, "TIFF", frames=2))
    assert [document.text[page.start : page.end] for page in document.pages] == [" ".join(LINES)] * 2


def test_what_time_did_not_reach_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(make.scan(LINES, typed="This page was typed."))
    document = read_in_child(tmp_path / "a.pdf", "a.pdf", Limits(ocr=0))
    assert (document.text, document.warnings) == ("This page was typed.", ["pages_not_read:1"])
    (tmp_path / "b.pdf").write_bytes(make.scan(LINES))
    with pytest.raises(errors.TookTooLong):
        read_in_child(tmp_path / "b.pdf", "b.pdf", Limits(ocr=0))


def test_a_long_page_does_not_take_the_time_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(make.scan(LINES * 30))
    with pytest.raises(errors.TookTooLong):
        read_in_child(tmp_path / "a.pdf", "a.pdf", Limits(ocr_page=0.01))


@override_settings(OCR_LANGUAGES="tlh+../../etc")
@pytest.mark.parametrize("name", ["a.pdf", "a.png"])
def test_without_data_for_the_language_a_scan_is_told_to_be_one(read: Read, name: str) -> None:
    with pytest.raises(errors.LooksLikeAScan):
        read(name, make.scan(LINES) if name == "a.pdf" else make.picture_of(LINES))


def test_a_picture_without_text_is_empty(read: Read) -> None:
    for name, data in (("a.pdf", make.image_pdf(1, 1, b"\0")), ("a.png", make.picture_of([]))):
        with pytest.raises(errors.EmptyFile):
            read(name, data)


def test_a_flood_of_pixels_is_refused_before_it_is_unpacked(read: Read) -> None:
    with pytest.raises(errors.TooLarge, match="million pixels"):
        read("a.png", make.png_claiming(60_000, 60_000))


@pytest.mark.deep
def test_recognition_does_not_grow_with_the_pages(tmp_path: Path) -> None:
    """One page takes 310 MB; keeping the pictures of all of them would take 500 more."""
    (tmp_path / "a.tiff").write_bytes(make.picture_of(LINES, "TIFF", frames=60))
    document = read_in_child(tmp_path / "a.tiff", "a.tiff", Limits(memory=400 * MIB))
    assert len(document.pages) == 60 and document.pages[59].words
