"""Mail: the headers people read, of alternatives what says most, what is attached by its own reader."""

from __future__ import annotations

from base64 import encodebytes
from pathlib import Path

import pytest

from tests.ingest import make, make_old
from tests.ingest.conftest import Read
from workers.ingest import errors

HEAD = b"From: a@x.example\nSubject: Look\n"
SAID = "From: a@x.example\nSubject: Look"


def multipart(kind: str, *parts: bytes) -> bytes:
    mark = b"b%d" % sum(map(len, parts))
    return (
        b"Content-Type: multipart/%s; boundary=%s\n\n" % (kind.encode(), mark)
        + b"".join(b"--%s\n%s\n" % (mark, part) for part in parts)
        + b"--%s--\n" % mark
    )


def plain(text: bytes) -> bytes:
    return b"Content-Type: text/plain\n\n" + text


def page(text: bytes) -> bytes:
    return b"Content-Type: text/html\n\n" + text


def file(name: str, data: bytes, kind: str = "application/octet-stream") -> bytes:
    head = f"Content-Type: {kind}\nContent-Disposition: attachment; filename={name}\n"
    return (head + "Content-Transfer-Encoding: base64\n\n").encode() + encodebytes(data)


def test_mail_shows_headers_body_and_names_of_attachments(read: Read) -> None:
    mail = (
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\nTo: a@x.example\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\n"
        b"Date: Mon, 1 Jan 2024 10:00:00 +0000\nMIME-Version: 1.0\n"
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: multipart/alternative; boundary=c\n\n"
        b"--c\nContent-Type: text/plain; charset=utf-8\n\nHello.\n\nSee you.\n"
        b"--c\nContent-Type: text/html\n\n<p>Hello in HTML.</p>\n--c--\n"
        b"--b\nContent-Type: application/pdf\n"
        b'Content-Disposition: attachment; filename="plan.pdf"\n\nxx\n--b--\n'
    )
    document = read("mail.eml", mail)
    assert document.title == "Grüße"
    assert document.text == (
        "From: Jürgen <j@x.example>\nTo: a@x.example\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n"
        "Subject: Grüße\n\n"
        "Hello.\n\nSee you.\n\nAttachment: plan.pdf"
    )


def test_mail_shows_the_text_of_texts_and_mails_that_are_attached(read: Read) -> None:
    mail = (
        b"From: a@x.example\nSubject: Look\nContent-Type: multipart/mixed; boundary=b\n\n"
        b"--b\nContent-Type: text/plain\n\nSee below.\n"
        b"--b\nContent-Type: text/plain\nContent-Disposition: attachment; filename=notes.txt\n\nBuy ink.\n"
        b"--b\nContent-Type: message/rfc822\n\n"
        b"From: c@x.example\nSubject: First\n\nThe hall is free.\n--b--\n"
    )
    assert read("a.eml", mail).text == (
        "From: a@x.example\nSubject: Look\n\nSee below.\n\nAttachment: notes.txt\n\nBuy ink.\n\n"
        "Attachment: message/rfc822\n\nFrom: c@x.example\nSubject: First\n\nThe hall is free."
    )


def test_mail_with_only_html_is_read_as_a_page(read: Read) -> None:
    mail = b"From: a@x.example\nSubject: Hi\nContent-Type: text/html\n\n<p>One</p><p>Two</p>"
    assert read("a.eml", mail).text.endswith("One\n\nTwo")


def test_all_recipients_are_shown(read: Read) -> None:
    mail = HEAD + b"To: b@x.example\nTo: c@x.example\nBcc: d@x.example\n\nHello."
    assert read("a.eml", mail).text == (
        "From: a@x.example\nTo: b@x.example, c@x.example\nBcc: d@x.example\nSubject: Look\n\nHello."
    )


def test_a_page_is_read_beside_a_plain_footer(read: Read) -> None:
    mail = HEAD + multipart("mixed", page(b"<p>The body.</p>"), plain(b"Sent by the list."))
    assert read("a.eml", mail).text == f"{SAID}\n\nThe body.\n\nSent by the list."


def test_a_plain_text_that_only_points_at_the_page_gives_way_to_it(read: Read) -> None:
    thin = plain(b"This mail is a page: https://x.example/a/b/c/d/e/f/g/h/i/j/k/l/m/n")
    rich = multipart("related", page(b"<p>The hall is closed on Monday, the library on Tuesday.</p>"))
    mail = HEAD + multipart("alternative", thin, rich)
    assert read("a.eml", mail).text == f"{SAID}\n\nThe hall is closed on Monday, the library on Tuesday."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_mail_saved_in_wide_characters_is_a_mail(read: Read, encoding: str) -> None:
    mail = HEAD + multipart("alternative", plain(b"Hello."), page(b"<p>Hello.</p>"))
    assert read("a.eml", mail.decode().encode(encoding)).text == f"{SAID}\n\nHello."


def test_what_is_attached_is_read_by_its_own_reader(read: Read, tmp_path: Path) -> None:
    make.word(tmp_path / "a.docx")
    letter = make.pdf([[(72, 700, 12, "A letter.")]])
    parts = plain(b"See below."), file("a.docx", (tmp_path / "a.docx").read_bytes()), file("b.pdf", letter)
    document = read("a.eml", HEAD + multipart("mixed", *parts))
    assert len(document.pages) == 1 and not document.warnings
    headings = [
        (block.level, document.text[block.start : block.end])
        for block in document.pages[0].blocks
        if block.kind == "heading"
    ]
    assert headings == [
        (1, "Attachment: a.docx"),
        (2, "Annual leave"),
        (3, "Carrying over"),
        (1, "Attachment: b.pdf"),
    ]
    assert "Year | Days\n2024 | 30\n\nAfter the table." in document.text
    assert document.text.endswith("Attachment: b.pdf\n\nA letter.")


def test_an_attachment_that_cannot_be_read_is_told(read: Read) -> None:
    locked = make_old.compound({"EncryptedPackage": b"x"})
    bomb = make.zeros_archive(600)
    parts = (
        plain(b"Hello."),
        file("a.xlsx", locked),
        file("b.docx", bomb),
        file("c.zip", b"PK\x05\x06" + bytes(18)),
    )
    document = read("a.eml", HEAD + multipart("mixed", *parts))
    assert document.text.endswith("Hello.\n\nAttachment: a.xlsx\nAttachment: b.docx\nAttachment: c.zip")
    assert document.warnings == ["attachment_not_read:a.xlsx", "attachment_not_read:b.docx"]


def test_pictures_are_read_where_they_are_attached_not_where_they_decorate(read: Read) -> None:
    picture = make.picture_of(["Spare key"], size=(600, 240))
    logo, scan = file("logo.png", picture, "image/png"), file("scan.png", picture, "image/png")
    mail = HEAD + multipart("mixed", multipart("related", page(b"<p>Hello.</p>"), logo), scan)
    document = read("a.eml", mail)
    assert document.text.endswith("Hello.\n\nAttachment: logo.png\n\nAttachment: scan.png\n\nSpare key")


@pytest.mark.parametrize(
    "kind", ["multipart/encrypted; boundary=b", "application/pkcs7-mime; smime-type=enveloped-data"]
)
def test_a_sealed_mail_is_told_to_be_one(read: Read, kind: str) -> None:
    with pytest.raises(errors.Encrypted):
        read("a.eml", HEAD + f"Content-Type: {kind}\n\n--b\n\nsealed\n--b--\n".encode())


def test_a_signed_mail_is_read(read: Read) -> None:
    signature = file("seal.asc", b"signature", "application/pgp-signature")
    mail = HEAD + multipart("signed", plain(b"Hello."), signature)
    assert read("a.eml", mail).text == f"{SAID}\n\nHello.\n\nAttachment: seal.asc"


def test_mails_within_mails_end(read: Read) -> None:
    mail = HEAD + b"\nInnermost."
    for _ in range(8):
        mail = HEAD + multipart("mixed", plain(b"Round."), b"Content-Type: message/rfc822\n\n" + mail)
    assert read("a.eml", mail).text.count("Round.") == 5


def test_msg_shows_headers_body_and_names_of_attachments(read: Read) -> None:
    document = read("plan.msg", make_old.outlook_message())
    assert document.title == "Pläne"
    assert document.text == (
        'From: "Ann" <ann@x.example>\nTo: Bob <bob@x.example>\nSubject: Pläne\n\nHello.\n\nSee you.\n\n'
        "Attachment: plan.pdf"
    )


def test_what_is_attached_to_a_msg_is_read(read: Read) -> None:
    document = read("plan.msg", make_old.outlook_message(make.pdf([[(72, 700, 12, "A letter.")]])))
    assert document.text.endswith("Attachment: plan.pdf\n\nA letter.")
