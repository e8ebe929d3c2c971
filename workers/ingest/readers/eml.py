"""E-mails: the headers people read, the body, and what is attached."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.header import decode_header, make_header
from email.message import Message

from workers.ingest.document import ReadDocument
from workers.ingest.errors import BrokenFile, EmptyFile, Encrypted
from workers.ingest.readers import File, Progress
from workers.ingest.readers.attached import add_attached
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.decode import decode
from workers.ingest.readers.html import add_html
from workers.ingest.readers.plain import EMPTY_LINES
from workers.ingest.readers.text import clean, one_line

HEADERS = ("From", "To", "Cc", "Bcc", "Date", "Subject")
MAX_PARTS = 1000
# Mails within mails, as people forward them; and parts within parts.
MAX_NESTING, MAX_DEPTH = 5, 50
PLAIN, PAGE, MAIL = "text/plain", "text/html", "message/rfc822"
SEALED = re.compile(r"multipart/encrypted|application/(x-)?pkcs7-mime")
SIGNATURE = re.compile(r"application/(pgp|(x-)?pkcs7)-signature")
SIGNED = re.compile(r"signed-data|compressed-data", re.IGNORECASE)
WORD, LINK = re.compile(r"\w+"), re.compile(r"\S*://\S*")
# A page counts before a plain text that has so many times fewer words: "see this mail in a browser".
RICHER = 1.5


@dataclass
class Parts:
    """The leaves of a mail: what it shows, in order, and what it carries; of `unread`, signatures and
    pictures within its text, only the name counts."""

    shown: list[Message] = field(default_factory=list)
    carried: list[Message] = field(default_factory=list)
    unread: set[int] = field(default_factory=set)
    count: int = 0


def read(file: File, progress: Progress) -> ReadDocument:
    """Raises Encrypted, EmptyFile."""
    progress(0, 1)
    # The older policy keeps headers as they are; the newer one raises on many that real mail has.
    message = email.message_from_bytes(_narrow(file.read_bytes()), policy=email.policy.compat32)
    if SEALED.match(message.get_content_type()) and not SIGNED.search(str(message.get("Content-Type"))):
        raise Encrypted
    builder = Builder(MAIL)
    _message(builder, message, 0, progress)
    progress(1, 1)
    return builder.finish(_header(message, "Subject"))


def _narrow(data: bytes) -> bytes:
    """A mail that a program saved as UTF-16, with a byte a character again."""
    return (decode(data) or "").encode() if b"\0" in data[:64] else data


def _message(builder: Builder, message: Message, depth: int, progress: Progress) -> None:
    builder.block(
        "paragraph", "\n".join(f"{name}: {value}" for name in HEADERS if (value := _header(message, name)))
    )
    parts = Parts()
    _collect(message, parts, 0, False)
    for part in parts.shown:
        with suppress(EmptyFile, BrokenFile):  # the others can still be read
            _body(builder, part)
    for part in parts.carried:
        _attached(builder, part, id(part) not in parts.unread, depth + 1, progress)


def _attached(builder: Builder, part: Message, to_read: bool, depth: int, progress: Progress) -> None:
    name, payload = _name(part) or part.get_content_type(), part.get_payload()
    if part.get_content_type() == MAIL and isinstance(payload, list):
        builder.block("item", f"Attachment: {name}")
        for inner in payload if depth < MAX_NESTING else ():
            if isinstance(inner, Message):
                _message(builder, inner, depth, progress)
    else:
        add_attached(builder, name, _payload(part) if to_read else None, progress)


def _header(message: Message, name: str) -> str:
    return ", ".join(text for raw in message.get_all(name, []) if (text := _decoded(raw)))


def _decoded(raw: object) -> str:
    """A header's text; bytes outside ASCII that nobody declared are guessed."""
    text = str(raw)
    with suppress(LookupError, ValueError):
        text = str(make_header(decode_header(text)))
    if any("\udc80" <= char <= "\udcff" for char in text):
        text = decode(text.encode("utf-8", "surrogateescape")) or text
    return one_line(text)


def _collect(part: Message, parts: Parts, depth: int, is_related: bool) -> None:
    """Takes the leaves of a part; of alternatives what says most, and what each of them carries."""
    parts.count += 1
    if parts.count > MAX_PARTS or depth > MAX_DEPTH:
        return
    kind, payload = part.get_content_type(), part.get_payload()
    if part.get_content_maintype() == "multipart" and isinstance(payload, list):
        inner = [one for one in payload if isinstance(one, Message)]
        if kind == "multipart/alternative":
            _choose(inner, parts, depth, is_related)
        else:
            for one in inner:
                _collect(one, parts, depth + 1, is_related or kind == "multipart/related")
    elif _is_shown(part):
        parts.shown.append(part)
    elif kind == MAIL or _name(part) or _disposition(part).startswith("attachment"):
        parts.carried.append(part)
        is_decoration = is_related and part.get_content_maintype() == "image"
        if is_decoration or SIGNATURE.match(kind):
            parts.unread.add(id(part))


def _choose(alternatives: list[Message], parts: Parts, depth: int, is_related: bool) -> None:
    """The plainest comes first, as the standard has it."""
    best: list[Message] = []
    most = 0
    for one in alternatives:
        found = Parts(count=parts.count)
        _collect(one, found, depth + 1, is_related)
        parts.count = found.count
        parts.carried += found.carried
        parts.unread |= found.unread
        count = sum(map(_count, found.shown)) if len(alternatives) > 1 else 1
        if count > RICHER * most:
            best, most = found.shown, count
    parts.shown += best


def _count(part: Message) -> int:
    """Words, without links."""
    scratch = Builder("")
    with suppress(EmptyFile, BrokenFile):
        _body(scratch, part)
        return len(WORD.findall(LINK.sub("", scratch.finish().text)))
    return 0


def _is_shown(part: Message) -> bool:
    is_text = part.get_content_type() in (PLAIN, PAGE)
    return is_text and not _name(part) and not _disposition(part).startswith("attachment")


def _name(part: Message) -> str:
    try:
        return _decoded(part.get_filename() or "")
    except (LookupError, ValueError, TypeError):
        return ""


def _disposition(part: Message) -> str:
    return str(part.get("Content-Disposition", "")).strip().lower()


def _body(builder: Builder, part: Message) -> None:
    if part.get_content_type() == PAGE:
        add_html(builder, _payload(part), part.get_content_charset())
        return
    for paragraph in _paragraphs(decode(_payload(part), part.get_content_charset()) or ""):
        builder.block("paragraph", paragraph)


def _paragraphs(text: str) -> Iterator[str]:
    yield from EMPTY_LINES.split(clean(text))


def _payload(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""
