"""Damaged files of every format: each ends as a document or as a typed error, and the reader goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ingest import make, make_old
from tests.ingest.test_formats import RTF
from tests.ingest.test_pdf import filled_form
from tests.ingest.test_sandbox import assert_no_child_left
from workers.ingest.errors import BY_CODE, ReadError
from workers.ingest.limits import MIB, Limits
from workers.ingest.sandbox import read_in_child

# What a small damaged file may take; each file alone takes far less.
LIMITS = Limits(memory=512 * MIB, cpu=20, wall=60.0, ocr=10.0, ocr_page=5.0)
SAMPLE, MANY = 4, 250
HTML = b"<html><head><title>T</title></head><body><h1>H</h1><table><tr><td>1<td>2</table><p>x</body></html>"
MAIL = (
    b"From: a@x.example\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nContent-Type: multipart/mixed; boundary=b\n\n"
    b"--b\nContent-Type: text/html; charset=utf-8\n\n<p>Hi</p>\n--b\nContent-Type: application/pdf\n"
    b'Content-Disposition: attachment; filename="a.pdf"\n\nxx\n--b--\n'
)


def written(maker: Callable[[Path], None]) -> Callable[[Path], bytes]:
    def write(folder: Path) -> bytes:
        maker(folder / "made")
        return (folder / "made").read_bytes()

    return write


def fixed(data: bytes) -> Callable[[Path], bytes]:
    return lambda _folder: data


FILES: dict[str, Callable[[Path], bytes]] = {
    "a.pdf": fixed(make.pdf([[(72, 700, 12, "Some words"), (72, 680, 112, "A title")]] * 3)),
    "b.pdf": fixed(make.image_pdf(64, 64, bytes(64 * 64))),
    "c.pdf": fixed(filled_form()),
    "a.docx": written(make.word),
    "a.pptx": written(make.slides),
    "a.xlsx": written(make.workbook),
    "a.odt": written(lambda path: make.open_document(path, "<text:h>One</text:h><text:p>Two</text:p>")),
    "a.epub": written(lambda path: make.book(path, {"one.xhtml": "<h1>One</h1><p>Two</p>"})),
    "a.xls": fixed(make_old.old_workbook()),
    "a.msg": fixed(make_old.outlook_message()),
    "a.rtf": fixed(RTF),
    "a.html": fixed(HTML),
    "a.eml": fixed(MAIL),
    "a.md": fixed(b"# One\n\n- two\n  - three\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n"),
    "a.csv": fixed(b'Name;City\nAnn;"Bonn; am Rhein"\nBob;K\xf6ln\n'),
    "a.txt": fixed("Größe und Öl, dated 1 May.\n\n- one\n- two\n".encode("cp1252")),
    "a.png": fixed(make.picture_of(["Key"], size=(300, 120))),
    "a.jpg": fixed(make.picture_of(["Key"], "JPEG", size=(300, 120))),
    "a.tif": fixed(make.picture_of(["Key"], "TIFF", frames=2, size=(300, 120))),
    "a.bmp": fixed(make.picture_of(["Key"], "BMP", size=(300, 120))),
}


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, a part cut out, doubled, moved or filled with what breaks numbers."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        start = chance.randrange(len(made) + 1)
        end = min(len(made), start + chance.choice((1, 1, 4, 16, 200)))
        match chance.randrange(5):
            case 0:
                made[start:end] = chance.randbytes(end - start)
            case 1:
                del made[start:end]
            case 2:
                made[start:start] = made[start:end] * chance.choice((1, 3, 50))
            case 3:
                made[start:end] = chance.choice((b"\0", b"\xff", b"9", b"{", b"<")) * (end - start)
            case _:
                made = made[: max(start, 1)] if chance.random() < 0.3 else made
    return bytes(made)


def assert_each_ends(name: str, folder: Path, times: int, seed: int) -> None:
    original = FILES[name](folder)
    chance = random.Random(f"{seed} {name}")
    path = folder / "blob"
    for number in range(times):
        data = damaged(original, chance)
        path.write_bytes(data)
        try:
            document = read_in_child(path, name, LIMITS)
            assert document.text
        except ReadError as error:
            assert type(error) in BY_CODE.values()
            # A death of the reader is survived, but no file this small should bring it about.
            assert error.code not in {"killed_reader", "took_too_long"}, (number, data[:4000])
    assert_no_child_left()


@pytest.mark.parametrize("name", FILES)
def test_whole_files_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "blob").write_bytes(FILES[name](tmp_path))
    try:
        assert read_in_child(tmp_path / "blob", name, LIMITS).text
    except ReadError as error:
        assert (name, error.code) == ("b.pdf", "empty")


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_end_well(tmp_path: Path, name: str) -> None:
    assert_each_ends(name, tmp_path, SAMPLE, seed=1)


@pytest.mark.deep
@pytest.mark.parametrize("name", FILES)
def test_many_damaged_files_end_well(tmp_path: Path, name: str) -> None:
    assert_each_ends(name, tmp_path, MANY, seed=2)
