"""Files that cannot be read end as a typed error with a sentence; the next file goes on."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from tests.ingest import make, make_old
from tests.ingest.conftest import Read
from workers.ingest import errors
from workers.ingest.limits import MIB, Limits
from workers.ingest.pictures import page_picture
from workers.ingest.sandbox import read_in_child

LOCKED = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O (%s) /U (%s) >> /ID [(a) (a)]" % (
    b"x" * 32,
    b"y" * 32,
)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("a.pdf", make.pdf([[(72, 700, 12, "Secret")]], trailer=LOCKED), errors.Encrypted),
        ("a.docx", make_old.compound({"EncryptedPackage": b"x"}), errors.Encrypted),
        ("a.doc", make_old.compound({"WordDocument": bytes(11) + b"\x01"}), errors.Encrypted),
        ("a.ppt", make_old.compound({"PowerPoint Document": b"", "EncryptedSummary": b""}), errors.Encrypted),
        ("a.xls", make_old.old_workbook(locked=True), errors.Encrypted),
        ("a.doc", make_old.compound({"WordDocument": bytes(32)}), errors.OldFormat),
        ("a.ppt", make_old.compound({"PowerPoint Document": bytes(32)}), errors.OldFormat),
        ("a.msi", make_old.compound({"Property": b""}), errors.UnknownFormat),
        ("a.pdf", make.pdf([[]]), errors.EmptyFile),
        ("a.txt", b"", errors.EmptyFile),
        ("a.txt", b" \n\t\n", errors.EmptyFile),
        ("a.html", b"<html><script>x</script></html>", errors.EmptyFile),
        ("a.pdf", b"%PDF-1.7\nnothing follows", errors.BrokenFile),
        ("a.pdf", b"this is no PDF", errors.BrokenFile),
        ("a.docx", b"PK\x03\x04 cut off", errors.BrokenFile),
        ("a.doc", make_old.compound({})[:700], errors.BrokenFile),
        ("a.rtf", b"{\\rtf1{\\*\\nothing here}}", errors.EmptyFile),
        ("a.png", b"\x89PNG\r\n\x1a\n" + bytes(100), errors.BrokenFile),
        ("a", struct.pack("<200I", *range(1, 201)), errors.UnknownFormat),
    ],
)
def test_each_fault_has_its_name(read: Read, name: str, data: bytes, error: type[errors.ReadError]) -> None:
    with pytest.raises(errors.ReadError) as caught:
        read(name, data)
    assert type(caught.value) is error
    assert str(caught.value).endswith(".") and "%" not in str(caught.value)


def test_every_error_has_a_code_of_its_own() -> None:
    kinds = {errors.ReadError, *errors.ReadError.__subclasses__()}
    assert set(errors.BY_CODE.values()) == kinds
    assert len(errors.BY_CODE) == len(kinds)


def test_an_unknown_format_lists_the_known(read: Read) -> None:
    with pytest.raises(errors.UnknownFormat, match="PDF, DOCX, PPTX, XLSX, XLS, ODT, RTF, EPUB, HTML"):
        read("a.bin", bytes(range(256)) * 10)


def test_an_envelope_whose_attachments_are_locked_needs_its_password(read: Read) -> None:
    """Its page, which anybody can read, only says that there is something in it."""
    open_pages = b"/StmF /Identity /StrF /Identity"
    lock = (
        b"/Encrypt << /Filter /Standard /V 4 /R 4 /Length 128 /P -4 /O (%s) /U (%s) /EFF /%s %s "
        b"/CF << /StdCF << /AuthEvent /EFOpen /CFM /AESV2 /Length 16 >> >> >> /ID [(a) (a)]"
    )
    page = [(72.0, 700.0, 12.0, "Your statement is attached.")]
    files = b"/Names << /EmbeddedFiles << /Names [(a.txt) 7 0 R] >> >>"
    attached = [b"<< /Type /Filespec /F (a.txt) /EF << /F 8 0 R >> >>", make.stream(b"locked")]
    for filtered, is_locked in ((b"StdCF", True), (b"Identity", False)):
        trailer = lock % (b"o" * 32, b"u" * 32, filtered, open_pages)
        data = make.pdf([page], trailer=trailer, catalogue=files, more=attached)
        if is_locked:
            with pytest.raises(errors.Encrypted):
                read("a.pdf", data)
        else:
            assert read("a.pdf", data).text == "Your statement is attached."


def test_an_encrypted_odt_needs_its_password(tmp_path: Path) -> None:
    make.open_document(tmp_path / "a.odt", "", '<m xmlns:manifest="m"><manifest:encryption-data/></m>')
    with pytest.raises(errors.Encrypted):
        read_in_child(tmp_path / "a.odt", "a.odt")


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    make.word(tmp_path / "good.docx")
    make.replace_member(tmp_path / "good.docx", tmp_path / "bomb.docx", "word/document.xml", bytes(64 * MIB))
    with pytest.raises(errors.TooLarge):
        read_in_child(tmp_path / "bomb.docx", "bomb.docx")


def test_a_member_that_hides_its_size_is_broken(tmp_path: Path, read: Read) -> None:
    data = make.zeros_archive(40)
    honest = struct.pack("<I", 40 * MIB)
    assert data.count(honest) >= 1
    with pytest.raises((errors.BrokenFile, errors.UnknownFormat)):
        read("a.docx", data.replace(honest, struct.pack("<I", 1000)))


def test_xml_entities_are_refused(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    bomb += "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)) + "]><b>&j;</b>"
    makers = {"a.docx": make.word, "a.pptx": make.slides, "a.xlsx": make.workbook}
    parts = {
        "a.docx": "word/document.xml",
        "a.pptx": "ppt/presentation.xml",
        "a.xlsx": "xl/worksheets/sheet1.xml",
    }
    for name, maker in makers.items():
        maker(tmp_path / name)
        make.replace_member(tmp_path / name, tmp_path / "bomb", parts[name], bomb.encode("utf-16"))
        with pytest.raises(errors.BrokenFile):
            read_in_child(tmp_path / "bomb", name)


def test_a_doctype_in_an_odt_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.odt", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>')
    with pytest.raises(errors.BrokenFile):
        read_in_child(tmp_path / "a.odt", "a.odt")


def test_ten_thousand_empty_pages_are_too_many(read: Read) -> None:
    kids = b"3 0 R " * 10_000
    data = make.pdf_objects(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [%s] /Count 10000 >>" % kids,
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        ]
    )
    with pytest.raises(errors.TooManyPages, match=r"10000 pages; at most 5000"):
        read("a.pdf", data)


def test_a_flood_of_pixels_ends_as_a_small_picture_or_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(make.image_pdf(65_000, 65_000, bytes(1000)))
    try:
        assert len(page_picture(path, 1, 1000, Limits(cpu=2, wall=10))) < MIB
    except errors.ReadError as error:
        assert error.code in {"broken", "too_much_memory", "took_too_long", "killed_reader"}


def test_more_text_than_anyone_reads_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 300_000)
    with pytest.raises(errors.TooLarge, match="1 MB of text"):
        read_in_child(tmp_path / "a.txt", "a.txt", Limits(text=MIB))


@pytest.mark.parametrize("depth", [300, 50_000])
def test_deep_nesting_ends_well(read: Read, depth: int) -> None:
    try:
        assert "inside" in read("a.html", b"<div>" * depth + b"inside" + b"</div>" * depth).text
    except errors.ReadError as error:
        assert error.code in {"broken", "empty"}
