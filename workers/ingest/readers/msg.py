"""Outlook's messages: what a mail shows, from the file that Outlook saves."""

from __future__ import annotations

from oxmsg import Message
from oxmsg.attachment import Attachment

from workers.ingest.document import ReadDocument
from workers.ingest.errors import Encrypted
from workers.ingest.readers import File, Progress, contents
from workers.ingest.readers.attached import add_attached
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.html import add_html
from workers.ingest.readers.plain import EMPTY_LINES
from workers.ingest.readers.text import clean, one_line

MEDIA_TYPE = "application/vnd.ms-outlook"
# Properties of a recipient: whether in To, Cc or Bcc.
RECIPIENT_TYPE = 0x0C15
TO, CC, BCC = 1, 2, 3
# The body as a page, in bytes; and of an attachment the id by which that page shows it.
PAGE, CONTENT_ID = 0x1013, 0x3712
# What a message carries in place of a body that is sealed.
SEALS = ("application/pgp-encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")


def read(file: File, progress: Progress) -> ReadDocument:
    progress(0, 1)
    message = Message.load(contents(file))
    if any(attachment.mime_type in SEALS for attachment in message.attachments) and not message.body:
        raise Encrypted
    builder = Builder(MEDIA_TYPE)
    headers = {
        "From": message.sender,
        "To": _people(message, TO),
        "Cc": _people(message, CC),
        "Bcc": _people(message, BCC),
        "Date": message.sent_date.strftime("%Y-%m-%d %H:%M %Z") if message.sent_date else "",
        "Subject": message.subject,
    }
    builder.block(
        "paragraph",
        "\n".join(f"{name}: {text}" for name, value in headers.items() if (text := one_line(value or ""))),
    )
    _body(builder, message)
    for attachment in message.attachments:
        name = one_line(attachment.file_name or attachment.mime_type or "")
        add_attached(builder, name, None if _is_within_text(attachment) else attachment.file_bytes, progress)
    progress(1, 1)
    return builder.finish(message.subject or "")


def _is_within_text(attachment: Attachment) -> bool:
    """A picture that the text shows: a logo more often than a scan."""
    is_picture = (attachment.mime_type or "").startswith("image/")
    return is_picture and bool(attachment.properties.str_prop_value(CONTENT_ID))


def _people(message: Message, kind: int) -> str:
    people = [
        one for one in message.recipients if (one.properties.int_prop_value(RECIPIENT_TYPE) or TO) == kind
    ]
    return ", ".join(
        f"{one.name} <{one.email_address}>" if one.name != one.email_address else one.name for one in people
    )


def _body(builder: Builder, message: Message) -> None:
    if text := clean(message.body or "").strip():
        for paragraph in EMPTY_LINES.split(text):
            builder.block("paragraph", paragraph)
    elif page := message.properties.binary_prop_value(PAGE):
        add_html(builder, page)
    elif message.html_body:
        add_html(builder, message.html_body.encode(), "utf-8")
