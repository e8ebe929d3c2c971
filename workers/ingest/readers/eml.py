"""E-mails: the headers people read, the body, and what is attached.

Of an attachment that is text, a page or another mail the text is read; of others the name.
"""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from contextlib import suppress
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile, EmptyFile
from workers.ingest.readers import Progress
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.decode import decode
from workers.ingest.readers.html import add_html
from workers.ingest.readers.plain import EMPTY_LINES
from workers.ingest.readers.text import clean, one_line

HEADERS = ("From", "To", "Cc", "Date", "Subject")
MAX_PARTS = 1000
# Mails within mails, as people forward them.
MAX_NESTING = 5


def read(path: Path, progress: Progress) -> ReadDocument:
    progress(0, 1)
    # The older policy keeps headers as they are; the newer one raises on many that real mail has.
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.compat32)
    builder = Builder("message/rfc822")
    _message(builder, message, 0)
    progress(1, 1)
    return builder.finish(_header(message, "Subject"))


def _message(builder: Builder, message: Message, depth: int) -> None:
    builder.block(
        "paragraph", "\n".join(f"{name}: {value}" for name in HEADERS if (value := _header(message, name)))
    )
    parts = list(_parts(message))
    _body(builder, [part for part in parts if not _attachment(part)])
    for part in parts:
        if name := _attachment(part):
            builder.block("item", f"Attachment: {name}")
            _attached(builder, part, depth + 1)


def _attached(builder: Builder, part: Message, depth: int) -> None:
    payload = part.get_payload()
    if part.get_content_type() == "message/rfc822" and isinstance(payload, list):
        for inner in payload if depth < MAX_NESTING else ():
            if isinstance(inner, Message):
                _message(builder, inner, depth)
    elif part.get_content_type() in ("text/plain", "text/html"):
        with suppress(EmptyFile, BrokenFile):  # its name is there at least
            _body(builder, [part])


def _header(message: Message, name: str) -> str:
    raw = message.get(name)
    return _decoded(raw) if raw is not None else ""


def _decoded(raw: object) -> str:
    """A header's text; bytes outside ASCII that nobody declared are guessed."""
    text = str(raw)
    with suppress(LookupError, ValueError):
        text = str(make_header(decode_header(text)))
    if any("\udc80" <= char <= "\udcff" for char in text):
        text = decode(text.encode("utf-8", "surrogateescape")) or text
    return one_line(text)


def _parts(message: Message) -> Iterator[Message]:
    """The leaves of the message; one that is attached as a whole is a leaf too."""
    waiting = [message]
    for _ in range(MAX_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            waiting = [p for p in part.get_payload() if isinstance(p, Message)] + waiting
        else:
            yield part


def _attachment(part: Message) -> str:
    """The name of an attachment; '' for a part that is the body."""
    try:
        name = _decoded(part.get_filename() or "")
    except (LookupError, ValueError, TypeError):
        name = ""
    disposition = str(part.get("Content-Disposition", "")).strip().lower()
    if name or disposition.startswith("attachment") or part.get_content_type() == "message/rfc822":
        return name or part.get_content_type()
    return ""


def _body(builder: Builder, parts: list[Message]) -> None:
    plain = [part for part in parts if part.get_content_type() == "text/plain"]
    rich = [part for part in parts if part.get_content_type() == "text/html"]
    before = len(builder.pages[-1].blocks) if builder.pages else 0
    for part in plain:
        text = decode(_payload(part), part.get_content_charset()) or ""
        for paragraph in EMPTY_LINES.split(clean(text)):
            builder.block("paragraph", paragraph)
    if builder.pages and len(builder.pages[-1].blocks) > before:
        return
    for part in rich:
        add_html(builder, _payload(part), part.get_content_charset())


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
