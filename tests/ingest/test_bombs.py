"""Files made to swell: each ends within its limits, and what is read beside them does not notice."""

from __future__ import annotations

import io
import struct
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.ingest import make, make_old
from tests.ingest.test_sandbox import assert_no_child_left
from workers.ingest import errors
from workers.ingest.limits import MIB, Limits
from workers.ingest.sandbox import read_in_child

LIMITS = Limits(memory=256 * MIB, cpu=5, wall=30.0, text=2 * MIB, ocr=5.0)


def zipped(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return buffer.getvalue()


def book_with(package: str) -> bytes:
    container = b'<container><rootfiles><rootfile full-path="a.opf"/></rootfiles></container>'
    parts = {"META-INF__container_xml": container, "a_opf": package.encode()}
    return zipped(mimetype=b"application/epub+zip", **parts)


def chapters_again_and_again() -> bytes:
    """A book whose one chapter, of 100 KB, is in it a thousand times."""
    spine = '<itemref idref="a"/>' * 1000
    package = f'<p><item id="a" href="b.html" media-type="text/html"/>{spine}</p>'
    return zipped(
        mimetype=b"application/epub+zip",
        **{"META-INF__container_xml": b'<c><rootfile full-path="a.opf"/></c>'},
        a_opf=package.encode(),
        b_html=b"<p>" + b"word " * 20_000 + b"</p>",
    )


def entities(kind: str) -> str:
    declared = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    return f'<!DOCTYPE p [<!ENTITY a "{"a" * 10}">{declared}]><p><{kind}>&j;</{kind}></p>'


def frames(count: int) -> bytes:
    """A TIFF of so many frames, all of them the same four pixels."""
    entries = [(256, 2), (257, 2), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2), (279, 4)]
    size = 2 + 12 * len(entries) + 4
    made = [b"II*\0" + struct.pack("<I", 12) + b"\xff" * 4]
    for number in range(count):
        following = 12 + size * (number + 1) if number + 1 < count else 0
        rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        made.append(struct.pack("<H", len(entries)) + rows + struct.pack("<I", following))
    return b"".join(made)


def ring_of_sectors() -> bytes:
    """An old container whose directory follows itself for ever."""
    data = bytearray(make_old.compound({"Workbook": b"x"}))
    first = struct.unpack_from("<I", data, 0x30)[0]
    table = struct.unpack_from("<I", data, 0x4C)[0]
    struct.pack_into("<I", data, 512 * (table + 1) + 4 * first, first)
    return bytes(data)


BOMBS: dict[str, Callable[[], bytes]] = {
    "a.docx": lambda: make.zeros_archive(40),
    "chapters.epub": chapters_again_and_again,
    "entities.epub": lambda: book_with(entities("title")),
    "outside.epub": lambda: book_with('<!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]><p>&a;</p>'),
    "braces.rtf": lambda: b"{\\rtf1 " + b"{" * 2_000_000,
    "binary.rtf": lambda: b"{\\rtf1 \\bin999999999 " + b"x" * 1000,
    "symbols.rtf": lambda: b"{\\rtf1 " + b"\\emdash" * 300_000 + b"}",
    "entities.html": lambda: entities("b").encode(),
    "deep.json": lambda: b"[" * 3_000_000,
    "deep.md": lambda: b"> " * 200_000 + b"x",
    "links.md": lambda: b"[" * 50_000 + b"](" * 50_000,
    "rows.csv": lambda: b'"' + b"x" * 30 * MIB,
    "pixels.png": lambda: make.png_claiming(60_000, 60_000),
    "frames.tif": lambda: frames(6_000),
    "ring.xls": ring_of_sectors,
    "parts.eml": lambda: b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 60_000,
    "nested.eml": lambda: b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(2_000)
    ),
    "marks.txt": lambda: ("a" + "\u0301" * 1_500_000).encode(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_within_its_limits(tmp_path: Path, name: str) -> None:
    (tmp_path / "blob").write_bytes(BOMBS[name]())
    began = time.monotonic()
    try:
        document = read_in_child(tmp_path / "blob", name, LIMITS)
        assert len(document.text) <= LIMITS.text
        assert "root:" not in document.text
    except errors.ReadError as error:
        assert error.code != "killed_reader"
    assert time.monotonic() - began < LIMITS.wall
    assert_no_child_left()


def test_neighbours_of_bombs_are_read_meanwhile(tmp_path: Path) -> None:
    names = [name for name in BOMBS if name.endswith((".docx", ".rtf", ".epub", ".eml", ".csv"))]
    for name in names:
        (tmp_path / name).write_bytes(BOMBS[name]())
    (tmp_path / "small.txt").write_text("Some text.")
    with ThreadPoolExecutor(2) as pool:
        bombs = [pool.submit(read_in_child, tmp_path / name, name, LIMITS) for name in names]
        beside = 0
        while not all(bomb.done() for bomb in bombs):
            assert read_in_child(tmp_path / "small.txt", "small.txt").text == "Some text."
            beside += 1
    assert beside > len(names)
    assert all(isinstance(bomb.exception(), errors.ReadError | None) for bomb in bombs)
    assert_no_child_left()
