"""Small files of every format, made by hand, so that nothing but the test says what is in them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import docx
import openpyxl
import pptx
from lxml import etree
from PIL import Image, ImageDraw, ImageFont

Line = tuple[float, float, float, str]
A4 = (595, 842)


def pdf_objects(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue."""
    body = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        start,
    )
    return bytes(body)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    packed = zlib.compress(data)
    return b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n%s\nendstream" % (len(packed), entries, packed)


def pdf(
    pages: Sequence[Sequence[Line]],
    page_entries: bytes = b"",
    size: tuple[int, int] = A4,
    trailer: bytes = b"",
    catalogue: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    """Each line is (x, y from the bottom, font size, text); sizes of 100 or more mean bold of size - 100.

    `more` are objects that follow, with numbers from 5 + twice the pages; `catalogue` names them.
    """
    kids = b" ".join(b"%d 0 R" % (5 + 2 * index) for index in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalogue,
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for index, lines in enumerate(pages):
        content = b"".join(_shown(*line) for line in lines)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R %s "
            b"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>" % (*size, 6 + 2 * index, page_entries)
        )
        objects.append(stream(content))
    return pdf_objects([*objects, *more], trailer)


def _shown(x: float, y: float, size: float, text: str) -> bytes:
    font = "F2" if size >= 100 else "F1"
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /{font} {size % 100} Tf {x} {y} Td ({escaped}) Tj ET\n".encode("cp1252")


def image_pdf(width: int, height: int, data: bytes) -> bytes:
    """One page that shows one grey image and no text."""
    return pdf_objects(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R "
            b"/Resources << /XObject << /Im 5 0 R >> >> >>",
            stream(b"q 200 0 0 200 0 0 cm /Im Do Q"),
            stream(
                data,
                b"/Type /XObject /Subtype /Image /Width %d /Height %d "
                b"/ColorSpace /DeviceGray /BitsPerComponent 8" % (width, height),
            ),
        ]
    )


WHOLE_PAGE = (A4[0] * 25 // 6, A4[1] * 25 // 6)


def drawn(lines: Sequence[str], size: tuple[int, int] = WHOLE_PAGE) -> Image.Image:
    """Black on white, at 300 dots an inch."""
    left, top = size[0] // 8, size[1] // 12
    picture = Image.new("L", size, 255)
    font = ImageFont.load_default(size=50)
    for number, line in enumerate(lines):
        ImageDraw.Draw(picture).text((left, top + 80 * number), line, fill=0, font=font)
    return picture


def picture_of(
    lines: Sequence[str],
    form: str = "PNG",
    turned: int = 0,
    frames: int = 1,
    size: tuple[int, int] = WHOLE_PAGE,
    camera: int = 1,
) -> bytes:
    """A picture file that shows these lines; several frames are a TIFF's, `camera` is EXIF's orientation."""
    picture = drawn(lines, size).rotate(turned, expand=True)
    more = {"save_all": True, "append_images": [picture] * (frames - 1)} if frames > 1 else {}
    exif = Image.Exif()
    exif[0x0112] = camera
    return saved(picture, form, exif=exif, **more)


def saved(picture: Image.Image, form: str = "PNG", **more: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, dpi=(300, 300), **more)
    return buffer.getvalue()


def scan(lines: Sequence[str], typed: str = "", stamp: str = "") -> bytes:
    """A PDF of a page that is one picture, with `stamp` as text on it, and if asked for a page of text."""
    picture = drawn(lines)
    image = stream(
        picture.tobytes(),
        b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8"
        % picture.size,
    )
    shows = [b"q %d 0 0 %d 0 0 cm /Im Do Q\n" % A4 + _shown(500, 30, 9, stamp)]
    shows += [_shown(72, 700, 12, typed)] if typed else []
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>"
        % (b" ".join(b"%d 0 R" % (5 + 2 * index) for index in range(len(shows))), len(shows)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        image,
    ]
    for index, content in enumerate(shows):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> /XObject << /Im 4 0 R >> >> >>" % (*A4, 6 + 2 * index)
        )
        objects.append(stream(content))
    return pdf_objects(objects)


def _shown_picture(lines: Sequence[str]) -> bytes:
    picture = drawn(lines)
    entries = b"/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8"
    return stream(picture.tobytes(), b"%s /Width %d /Height %d" % (entries, *picture.size))


def _one_page(entries: bytes, more: Sequence[bytes]) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] %s >>" % (*A4, entries)
    tree = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    return pdf_objects([*tree, page, *more])


def stamped(lines: Sequence[str]) -> bytes:
    """A page with nothing on it but a stamp, which shows the lines as a picture."""
    look = b"/Type /XObject /Subtype /Form /BBox [0 0 %d %d] /Resources << /XObject << /Im 6 0 R >> >>" % A4
    return _one_page(
        b"/Annots [4 0 R]",
        [
            b"<< /Type /Annot /Subtype /Stamp /F 4 /Rect [0 0 %d %d] /AP << /N 5 0 R >> >>" % A4,
            stream(b"q %d 0 0 %d 0 0 cm /Im Do Q" % A4, look),
            _shown_picture(lines),
        ],
    )


def nameless_letter(lines: Sequence[str]) -> bytes:
    """A page of one letter, which looks like the lines, in a font that does not say which letter it is."""
    width, height = A4
    return _one_page(
        b"/Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >>",
        [
            stream(b"BT /F1 1 Tf <01> Tj ET"),
            b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 %d %d] /FontMatrix [1 0 0 1 0 0] /FirstChar 1 "
            b"/LastChar 1 /Widths [%d] /CharProcs << /g 6 0 R >> /Encoding << /Differences [1 /g] >> "
            b"/Resources << /XObject << /Im 7 0 R >> >> >>" % (width, height, width),
            stream(b"%d 0 d0 q %d 0 0 %d 0 0 cm /Im Do Q" % (width, width, height)),
            _shown_picture(lines),
        ],
    )


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose head says that it is so large; there is hardly anything in it."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def word_with_margins(path: Path) -> None:
    """Two sections with the same header, a footer, and another for a first page that is like the others."""
    document = docx.Document()
    section = document.sections[0]
    section.header.paragraphs[0].text = "Safety manual KS-4471"
    section.footer.paragraphs[0].text = "Internal"
    section.first_page_header.paragraphs[0].text = "Not shown"
    section.different_first_page_header_footer = False
    paragraph = document.add_paragraph("Before the drawing and ")
    box = (
        '<w:r xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:pict><w:txbxContent>'
        "<w:p><w:r><w:t>Drawn</w:t></w:r></w:p><w:p><w:r><w:t>beside</w:t></w:r></w:p>"
        "</w:txbxContent></w:pict></w:r>"
    )
    paragraph._p.append(etree.fromstring(box))
    paragraph.add_run("after it.")
    document.add_section().header.is_linked_to_previous = False
    document.sections[1].header.paragraphs[0].text = "Safety manual KS-4471"
    document.save(str(path))


def word(path: Path) -> None:
    document = docx.Document()
    document.core_properties.title = "Leave of absence"
    document.add_heading("Annual leave", 1)
    document.add_paragraph("Everybody has thirty days.")
    document.add_heading("Carrying over", 2)
    document.add_paragraph("Ask your manager", style="List Bullet")
    document.add_paragraph("Tell the office", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        (c for row in table.rows for c in row.cells), ("Year", "Days", "2024", "30"), strict=True
    ):
        cell.text = text
    document.add_paragraph("After the table.")
    document.save(str(path))


def slides(path: Path) -> None:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Budget"
    slide.placeholders[1].text = "Rent\nWages"
    table = slide.shapes.add_table(1, 2, 0, 5_000_000, 5_000_000, 400_000).table
    table.cell(0, 0).text, table.cell(0, 1).text = "Sum", "100"
    slide.notes_slide.notes_text_frame.text = "Mention the reserve."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Outlook"
    deck.save(str(path))


def workbook(path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.active
    first.title = "Staff"
    first.append(["Name", "Hours", None])
    first.append([])
    first.append(["Ann", 37.5, None])
    first.append(["Total", "=SUM(B2:B3)"])
    book.create_sheet("Empty")
    book.create_sheet("Rooms").append(["Hall", True])
    book.save(str(path))


def open_document(path: Path, body: str, manifest: str = "<manifest/>") -> None:
    content = (
        '<?xml version="1.0"?><office:document-content'
        ' xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
        ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
        ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0">'
        f"<office:body><office:text>{body}</office:text></office:body></office:document-content>"
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", manifest)


def book(path: Path, chapters: dict[str, str]) -> None:
    """An EPUB; its parts lie in the archive in another order than the book has."""
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>A book</dc:title></metadata><manifest>"
        + "".join(f'<item id="{n}" href="{n}" media-type="application/xhtml+xml"/>' for n in chapters)
        + '<item id="outside" href="../../../etc/passwd" media-type="application/xhtml+xml"/>'
        + "</manifest><spine>"
        + "".join(f'<itemref idref="{n}"/>' for n in (*chapters, "outside"))
        + "</spine></package>"
    )
    container = '<container><rootfiles><rootfile full-path="OEBPS/a.opf"/></rootfiles></container>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("OEBPS/a.opf", package)
        for name in sorted(chapters):
            page = f'<!DOCTYPE html PUBLIC "x" "http://x.example/x.dtd"><html><body>{chapters[name]}</body></html>'
            archive.writestr(f"OEBPS/{name}", page)


def replace_member(source: Path, target: Path, name: str, content: bytes) -> None:
    """A copy of a zip file in which one member has another content."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            new.writestr(member.filename, content if member.filename == name else old.read(member))


def add_footnote(source: Path, target: Path, text: str) -> None:
    """A copy of a Word file with a footnote, and the line above footnotes that every such file has."""
    main = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    shown = "".join(
        f"<w:footnote {kind}><w:p><w:r><w:t>{words}</w:t></w:r></w:p></w:footnote>"
        for kind, words in (('w:type="separator" w:id="0"', "line"), ('w:id="1"', text))
    )
    notes = f'<w:footnotes xmlns:w="{main}">{shown}</w:footnotes>'
    relation = f'<Relationship Id="rId99" Type="{office}/footnotes" Target="footnotes.xml"/></Relationships>'
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "word/_rels/document.xml.rels":
                content = content.replace(b"</Relationships>", relation.encode())
            new.writestr(member.filename, content)
        new.writestr("word/footnotes.xml", notes)


def zeros_archive(megabytes: int) -> bytes:
    """A zip of one member that unpacks to so many megabytes."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("word/document.xml", "w") as out,
    ):
        for _ in range(megabytes):
            out.write(bytes(1024 * 1024))
    return buffer.getvalue()
