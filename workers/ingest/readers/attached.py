"""What is attached to a mail, read by the reader of its format as a part of the mail."""

from __future__ import annotations

from workers.ingest.document import ReadDocument
from workers.ingest.errors import EmptyFile, UnknownFormat
from workers.ingest.limits import Limits
from workers.ingest.readers import Enclosed, Progress, registry
from workers.ingest.readers.builder import Builder
from workers.ingest.readers.text import one_line

MAX_NAME = 80
# What an attachment may swell to; set for each file before it is read.
max_unpacked = Limits().unpacked


def prepare(limits: Limits) -> None:
    global max_unpacked
    max_unpacked = limits.unpacked


def add_attached(builder: Builder, name: str, data: bytes | None, progress: Progress) -> None:
    """Adds the attachment's name and text; `data` is None where only the name counts.

    One that cannot be read does not keep the mail from being read: a warning says so.
    """
    document = None
    try:
        document = _read(name, data, progress) if data else None
    except (EmptyFile, UnknownFormat):
        pass  # its name tells
    except MemoryError:  # nothing can be promised of what follows
        raise
    except Exception:  # parsers raise whatever they like over a damaged file
        _warn(builder, name)
    if document is None:
        builder.block("item", f"Attachment: {name}")
        return
    builder.block("heading", f"Attachment: {name}", 1)
    for page in document.pages:
        for block in page.blocks:
            level = block.level + 1 if block.kind == "heading" else block.level
            builder.block(block.kind, document.text[block.start : block.end], level)
    builder.warnings += [one for one in document.warnings if one not in builder.warnings]


def _read(name: str, data: bytes, progress: Progress) -> ReadDocument:
    file = Enclosed(data)
    # The mail is one page; how many an attachment has counts for the limit alone.
    return registry.find_reader(file, name, max_unpacked)(file, lambda _done, total: progress(0, total))


def _warn(builder: Builder, name: str) -> None:
    warning = f"attachment_not_read:{one_line(name)[:MAX_NAME]}"
    if warning not in builder.warnings:
        builder.warnings.append(warning)
