"""What each format gives: its text, in order, with its structure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ingest import make, make_old
from tests.ingest.conftest import Read
from workers.ingest.document import ReadDocument
from workers.ingest.readers import euc_tw
from workers.ingest.sandbox import read_in_child


def blocks(document: ReadDocument) -> list[tuple[str, int, str]]:
    return [(b.kind, b.level, document.text[b.start : b.end]) for page in document.pages for b in page.blocks]


def test_docx_keeps_the_order_of_the_body(tmp_path: Path) -> None:
    make.word(tmp_path / "leave.docx")
    document = read_in_child(tmp_path / "leave.docx", "leave.docx")
    assert document.title == "Leave of absence"
    assert blocks(document) == [
        ("heading", 1, "Annual leave"),
        ("paragraph", 0, "Everybody has thirty days."),
        ("heading", 2, "Carrying over"),
        ("item", 0, "Ask your manager"),
        ("item", 0, "Tell the office"),
        ("row", 0, "Year | Days"),
        ("row", 0, "2024 | 30"),
        ("paragraph", 0, "After the table."),
    ]


def test_docx_ends_with_its_footnotes(tmp_path: Path) -> None:
    make.word(tmp_path / "leave.docx")
    make.add_footnote(tmp_path / "leave.docx", tmp_path / "noted.docx", "Not in leap years.")
    text = read_in_child(tmp_path / "noted.docx", "noted.docx").text
    assert text.endswith("After the table.\n\nNot in leap years.")


def test_pptx_has_a_page_a_slide_with_notes(tmp_path: Path) -> None:
    make.slides(tmp_path / "deck.pptx")
    document = read_in_child(tmp_path / "deck.pptx", "deck.pptx")
    assert [document.text[page.start : page.end] for page in document.pages] == [
        "Budget\n\nRent\nWages\n\nSum | 100\n\nMention the reserve.",
        "Outlook",
    ]


def test_xlsx_has_a_page_a_sheet_and_skips_what_is_empty(tmp_path: Path) -> None:
    make.workbook(tmp_path / "staff.xlsx")
    document = read_in_child(tmp_path / "staff.xlsx", "staff.xlsx")
    assert [(page.label, document.text[page.start : page.end]) for page in document.pages] == [
        ("Staff", "Name | Hours\nAnn | 37.5\nTotal"),
        ("Empty", ""),
        ("Rooms", "Hall | TRUE"),
    ]


def test_odt_reads_headings_lists_and_tables(tmp_path: Path) -> None:
    make.open_document(
        tmp_path / "a.odt",
        '<text:h text:outline-level="2">Rules</text:h>'
        '<text:p>One<text:s text:c="2"/>two<text:line-break/>three</text:p>'
        "<text:list><text:list-item><text:p>First</text:p><text:list><text:list-item><text:p>Inner</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>A</text:p></table:table-cell>"
        "<table:table-cell><text:p>B</text:p></table:table-cell></table:table-row></table:table>",
    )
    assert blocks(read_in_child(tmp_path / "a.odt", "a.odt")) == [
        ("heading", 2, "Rules"),
        ("paragraph", 0, "One two\nthree"),
        ("item", 0, "First"),
        ("item", 1, "Inner"),
        ("row", 0, "A | B"),
    ]


def test_word_keeps_headers_and_footers_once_and_drawn_text_apart(tmp_path: Path) -> None:
    make.word_with_margins(tmp_path / "a.docx")
    assert read_in_child(tmp_path / "a.docx", "a.docx").text.split("\n\n") == [
        "Safety manual KS-4471",
        "Before the drawing and after it.",
        "Drawn",
        "beside",
        "Internal",
    ]


def test_html_leaves_out_what_is_not_shown(read: Read) -> None:
    page = (
        "<html><head><title>Pay</title><style>p{}</style></head><body><script>alert(1)</script>"
        "<h2>Pay <em>day</em></h2>"
        "<div>Loose <b>text</b><p>Paragraph<br>two</p>tail</div><p style='display: none'>hidden</p>"
        "<ul><li>One<ul><li>Deep</li></ul></li></ul>"
        "<table><tr><th>A<th>B<tr><td>H<sub>2</sub>O<td><p>x</p><p>y</p></table>"
        "<pre>a\n  b</pre></body></html>"
    )
    document = read("pay.html", page.encode())
    assert document.title == "Pay"
    assert blocks(document) == [
        ("heading", 2, "Pay day"),
        ("paragraph", 0, "Loose text"),
        ("paragraph", 0, "Paragraph\ntwo"),
        ("paragraph", 0, "tail"),
        ("item", 0, "One"),
        ("item", 1, "Deep"),
        ("row", 0, "A | B"),
        ("row", 0, "H2O | x y"),
        ("code", 0, "a\n  b"),
    ]


def test_western_text_of_many_languages_is_not_taken_for_eastern(read: Read) -> None:
    said = (
        "Die schöne Frau lächelte. Der Preis betrug 15,50 €.\n\nL'été était très chaud cette année. J'ai "
        "acheté un café.\n\nEl niño comió ñoquis. La señora dijo: ¡Qué rico!\n\nKvinnan åt köttbullar. "
        "Mannen frågade: Vill du ha mer?\n\nDie Größe der Halle überrascht, die Tür ist geöffnet."
    )
    assert read("a.txt", said.encode("cp1252")).text == said


def test_html_keeps_what_stands_beside_the_cells_of_a_row(read: Read) -> None:
    page = b"<table><tr><td>One</td></tr><tr><table><tr><td>Two<td>2</table>Three</table>"
    assert read("a.html", page).text == "One\nTwo | 2\n\nThree"


@pytest.mark.parametrize(
    ("encoding", "head"),
    [
        ("cp1252", '<meta charset="iso-8859-1">'),
        ("shift_jis", '<meta http-equiv="Content-Type" content="text/html; charset=shift_jis">'),
        ("utf-16", ""),
    ],
)
def test_html_believes_the_charset_it_declares(read: Read, encoding: str, head: str) -> None:
    text = "東京の会議" if encoding == "shift_jis" else "Größe – 5 €"
    assert read("a.html", f"<html>{head}<p>{text}</p></html>".encode(encoding)).text == text


def test_markdown_gives_what_the_rendered_page_shows(read: Read) -> None:
    source = (
        "# Guide\n\nSome *soft* [link](http://x.example) and `code`.\n\n- one\n  - two\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx = 1\n```\n\n<div>html</div>\n\n<!-- note -->\n"
    )
    document = read("guide.md", source.encode())
    assert document.title == "Guide"
    assert blocks(document) == [
        ("heading", 1, "Guide"),
        ("paragraph", 0, "Some soft link and code."),
        ("item", 0, "one"),
        ("item", 1, "two"),
        ("row", 0, "a | b"),
        ("row", 0, "1 | 2"),
        ("code", 0, "x = 1"),
        ("paragraph", 0, "html"),
    ]


def test_text_is_parted_at_empty_lines(read: Read) -> None:
    document = read(
        "notes.txt", "First line\r\nof one.\r\n\r\n \r\nSecond.\n\n- a\n- b\n".encode("utf-8-sig")
    )
    assert blocks(document) == [
        ("paragraph", 0, "First line\nof one."),
        ("paragraph", 0, "Second."),
        ("item", 0, "- a"),
        ("item", 0, "- b"),
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-32-be", "cp1251", "iso2022_jp", "big5"])
def test_text_in_other_encodings_is_recognised(read: Read, encoding: str) -> None:
    texts = {
        "cp1251": "Надежды на разрешение кризиса с транзитом российского газа не оправдались. " * 3,
        "iso2022_jp": "昔々、ある所に子供のいない老夫婦が住んでいた。",
        "big5": "中華民國憲法是中華民國的根本大法，由國民大會制定。人民有言論、講學、著作及出版之自由。" * 3,
    }
    text = texts.get(encoding, "A plain letter, dated 1 May, to nobody.")
    assert read("a.txt", text.encode(encoding)).text == text.strip()


def test_text_in_euc_tw_is_recognised(read: Read) -> None:
    """Python writes no EUC-TW: these bytes are `iconv`'s."""
    data = bytes.fromhex(
        "c5b2c7e2c6e8e3a7a1a2c7f5ccfcd1fbd7f2a1a4c5cac5ccd2d88ea2a7aba1a2"
        "cbd1d9eec7c4daafa1a4deedcbf4dfe0cdbba1a2d2f1c8adc5f6f7afa1a4"
    )
    assert read("a.txt", data).text == "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。寒來暑往，秋收冬藏。"


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp1255", "הישיבה מתחילה בתשע"), ("koi8_r", "Надежды на разрешение кризиса")]
)
def test_letters_of_one_byte_are_not_taken_for_euc_tw(encoding: str, text: str) -> None:
    assert euc_tw.decode((text * 9).encode(encoding)) is None


def test_csv_finds_its_own_separator(read: Read) -> None:
    document = read("a.csv", 'Name;City\nAnn;"Bonn; am Rhein"\n;\nBob;Köln\n'.encode("cp1252"))
    assert document.text == "Name | City\nAnn | Bonn; am Rhein\nBob | Köln"


RTF = rb"""{\rtf1\ansi\ansicpg1252\uc1
{\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset128 Mincho;}}
{\stylesheet{\s0 Normal;}{\s3 heading 2;}}
{\info{\title Pay \'fcber all}{\author Nobody}}{\header Running head}
{\pard\outlinelevel0 Pay\par}{\pard\s3 Overtime\par}
\pard Caf\'e9 \u8364?5, {\f1\'cf\'f0} {\f2\'93\'8c} \u-10179?\u-8704? {\v hidden}{\*\unknown gone}
a\{b\}.{\footnote See below.}\par
{\pard{\listtext\'b7\tab}\ls1\ilvl0 First\par}{\pard\ls1\ilvl1 Inner\par}
{\field{\*\fldinst HYPERLINK "http://x.example"}{\fldrslt a link}}\bin5 {{{{{ stays\par
\trowd\cellx1\cellx2\pard\intbl Year\cell Days\cell\row
\trowd\pard\intbl 2024\cell 30\par more\cell\row
\pard The end{\pict 8950}\par}"""


def test_rtf_keeps_headings_lists_and_tables(read: Read) -> None:
    document = read("pay.rtf", RTF)
    assert document.title == "Pay über all"
    assert blocks(document) == [
        ("heading", 1, "Pay"),
        ("heading", 2, "Overtime"),
        ("paragraph", 0, "Café €5, Пр 東 😀 a{b}."),
        ("paragraph", 0, "See below."),
        ("item", 0, "First"),
        ("item", 1, "Inner"),
        ("paragraph", 0, "a link stays"),
        ("row", 0, "Year | Days"),
        ("row", 0, "2024 | 30 more"),
        ("paragraph", 0, "The end"),
    ]


def test_epub_has_a_page_a_chapter_in_the_books_order(tmp_path: Path) -> None:
    make.book(tmp_path / "a.epub", {"two.xhtml": "<h1>Second</h1><p>b</p>", "one.xhtml": "<p>First</p>"})
    document = read_in_child(tmp_path / "a.epub", "a.epub")
    assert (document.title, document.media_type) == ("A book", "application/epub+zip")
    assert [document.text[page.start : page.end] for page in document.pages] == ["Second\n\nb", "First"]


def test_xls_has_a_page_a_sheet(read: Read) -> None:
    document = read("staff.xls", make_old.old_workbook())
    assert document.media_type == "application/vnd.ms-excel"
    assert [(page.label, document.text[page.start : page.end]) for page in document.pages] == [
        ("Staff", "Name | Hours\nAnn | 37.5")
    ]


@pytest.mark.parametrize("name", ["a.json", "a.log", "a.rst", "a.srt", "a.org"])
def test_what_is_written_as_text_is_read_as_text(read: Read, name: str) -> None:
    document = read(name, b'{"room": "Hall"}')
    assert (document.text, document.media_type) == ('{"room": "Hall"}', "text/plain")


def test_content_counts_before_the_name(read: Read) -> None:
    document = read("letter.txt", make.pdf([[(72, 700, 12, "Truly a PDF.")]]))
    assert (document.media_type, document.text) == ("application/pdf", "Truly a PDF.")


def test_hidden_and_turning_characters_are_taken_out(read: Read) -> None:
    document = read(
        "a\u202etxt.\x07txt", "e\u0301 \u202eevil\u2066 so\u00adft tag\U000e0041 zero\u200bwidth\x1b".encode()
    )
    assert document.text == "é evil soft tag zerowidth"
    assert document.title == "atxt"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Die Sitzung beginnt um neun Uhr im großen Saal des Rathauses.", "de"),
        ("La séance commence à neuf heures dans la grande salle de la mairie.", "fr"),
        ("Η συνεδρίαση αρχίζει στις εννέα στη μεγάλη αίθουσα του δημαρχείου.", "el"),
        ("הישיבה מתחילה בתשע באולם הגדול של בית העירייה.", "he"),
        ("会议九点在市政厅大厅开始，请各位代表准时出席。", "zh"),
        ("12 | 14 | 2024", ""),
        ("Xq zzv 7 kkp.", ""),
    ],
)
def test_the_language_is_told(read: Read, text: str, language: str) -> None:
    assert read("a.txt", text.encode()).language == language


def test_names_in_other_letters_do_not_hide_the_language_around_them(read: Read) -> None:
    text = (
        "Ο Jared Allen, ο Kawann Short, ο Mario Addison, ο Kony Ealy, ο Luke Kuechly και ο Thomas Davis "
        "έπαιξαν στους Carolina Panthers."
    )
    assert read("a.txt", text.encode()).language == "el"


def test_two_languages_in_equal_parts_are_neither(read: Read) -> None:
    text = "Die Sitzung beginnt um neun Uhr im Saal. " * 9 + "The meeting begins at nine in the hall. " * 9
    assert read("a.txt", text.encode()).language == ""
