"""Outlook's messages: what a mail shows, from the file that Outlook saves."""

from __future__ import annotations

from pathlib import Path

from oxmsg import Message

from workers.ingest.document import ReadDocument
from workers.ingest.readers import Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.html import add_html
from workers.ingest.readers.plain import EMPTY_LINES
from workers.ingest.readers.text import clean, one_line

MEDIA_TYPE = "application/vnd.ms-outlook"
# Properties of a recipient: whether in To, Cc or Bcc.
RECIPIENT_TYPE = 0x0C15
TO, CC = 1, 2


def read(path: Path, progress: Progress) -> ReadDocument:
    progress(0, 1)
    message = Message.load(str(path))
    builder = Builder(MEDIA_TYPE)
    headers = {
        "From": message.sender,
        "To": _people(message, TO),
        "Cc": _people(message, CC),
        "Date": message.sent_date.strftime("%Y-%m-%d %H:%M %Z") if message.sent_date else "",
        "Subject": message.subject,
    }
    builder.block(
        "paragraph",
        "\n".join(f"{name}: {text}" for name, value in headers.items() if (text := one_line(value or ""))),
    )
    _body(builder, message)
    for attachment in message.attachments:
        builder.block("item", f"Attachment: {attachment.file_name or attachment.mime_type or ''}")
    progress(1, 1)
    return builder.finish(message.subject or "")


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
    elif message.html_body:
        add_html(builder, message.html_body.encode(), "utf-8")
