"""What can go wrong with a file, each with a stable code and a sentence that says what to do."""

from __future__ import annotations

from typing import ClassVar

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class ReadError(Exception):
    """A file that cannot be read; `code` is stable, `str()` is the sentence for the person who sent it.

    `values` fill the sentence's placeholders. `cause` is for the log only: the kind of the exception
    underneath, never its text, which may quote the document.
    """

    code: ClassVar[str] = "unreadable"
    sentence: ClassVar[str | Promise] = _("This file could not be read. Save it again and send it once more.")

    def __init__(self, cause: str = "", **values: str | int) -> None:
        super().__init__(self.code)
        self.cause = cause
        self.values = values

    def __str__(self) -> str:
        return str(self.sentence) % self.values


class Encrypted(ReadError):
    code = "encrypted"
    sentence = _("This file is protected by a password. Remove the protection and send it again.")


class EmptyFile(ReadError):
    code = "empty"
    sentence = _(
        "No text was found in this file. Check that it is the right one; if it is a scan, that its language "
        "is set."
    )


class BrokenFile(ReadError):
    code = "broken"
    sentence = _(
        "This file is damaged or incomplete. Open it in the program that made it, save it and send it again."
    )


class UnknownFormat(ReadError):
    code = "unknown_format"
    sentence = _("This format is not supported. Send one of these instead: %(formats)s.")


class OldFormat(ReadError):
    code = "old_format"
    sentence = _(
        "This is a Word or PowerPoint file of before 2007. Save it as DOCX, PPTX or PDF and send that."
    )


class TooLarge(ReadError):
    code = "too_large"
    sentence = _("This file holds more than can be read (%(limit)s). Split it into smaller files.")


class TooManyPages(ReadError):
    code = "too_many_pages"
    sentence = _("This file has %(pages)s pages; at most %(limit)s can be read. Split it into several.")


class TookTooLong(ReadError):
    code = "took_too_long"
    sentence = _("Reading this file took too long and was stopped. Save it in a simpler form or split it.")


class NeedsTooMuchMemory(ReadError):
    code = "too_much_memory"
    sentence = _(
        "Reading this file needs too much memory and was stopped. Save it in a simpler form or split it."
    )


class LooksLikeAScan(ReadError):
    code = "scan"
    sentence = _(
        "There is no text in this file: it looks like a scan, and no text recognition (OCR) is installed for "
        "the languages that are set. Install it, or run it over the file and send that."
    )


class KilledReader(ReadError):
    """The reader process died over this file. The caller counts these; after three the file is set aside."""

    code = "killed_reader"
    sentence = _("Reading this file made the reader stop. Save it in another format and send it again.")


class NoSuchPage(ReadError):
    code = "no_such_page"
    sentence = _("There is no page with this number.")


class ReaderUnavailable(Exception):
    """The reader process could not be started: no fault of the file, try again later."""


BY_CODE: dict[str, type[ReadError]] = {
    kind.code: kind
    for kind in (
        ReadError,
        Encrypted,
        EmptyFile,
        BrokenFile,
        UnknownFormat,
        OldFormat,
        TooLarge,
        TooManyPages,
        TookTooLong,
        NeedsTooMuchMemory,
        LooksLikeAScan,
        KilledReader,
        NoSuchPage,
    )
}
