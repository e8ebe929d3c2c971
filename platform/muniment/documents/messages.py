"""Codes of what went wrong with a file, as words for the person who sent it.

The codes are the readers' and the pipeline's; a test checks that none is without its sentence.
"""

from __future__ import annotations

from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Message(NamedTuple):
    """`title` fits a pill; `text` says what happened and what to do."""

    title: str | Promise
    text: str | Promise


MESSAGES: dict[str, Message] = {
    "unreadable": Message(
        _("Not readable"), _("The file could not be read. Save it again and upload it once more.")
    ),
    "encrypted": Message(
        _("Locked"), _("The file is protected by a password. Remove the protection and upload it again.")
    ),
    "empty": Message(
        _("Empty"),
        _(
            "No text was found in this file. Check that it is the right one; if it is a scan, tell your "
            "administrator in which language."
        ),
    ),
    "broken": Message(
        _("Damaged"),
        _("The file is damaged or incomplete. Save it again in the program that made it and upload that."),
    ),
    "unknown_format": Message(
        _("Unknown format"),
        _("Files of this kind cannot be read. Save it as PDF, Office, OpenDocument, HTML, text or mail."),
    ),
    "old_format": Message(
        _("Old format"),
        _("This is a Word or PowerPoint file of before 2007. Save it as DOCX, PPTX or PDF and upload that."),
    ),
    "too_large": Message(
        _("Too large"), _("There is more in this file than can be read. Split it and upload the parts.")
    ),
    "too_many_pages": Message(
        _("Too many pages"), _("The file has more pages than can be read. Split it and upload the parts.")
    ),
    "took_too_long": Message(
        _("Took too long"),
        _("Reading the file took too long and was stopped. Save it in a simpler form, or split it."),
    ),
    "too_much_memory": Message(
        _("Too demanding"),
        _("Reading the file needs too much memory. Save it in a simpler form, or split it."),
    ),
    "scan": Message(
        _("A scan"),
        _(
            "There are only pictures of text in this file, and no text recognition is installed here. Tell "
            "your administrator, or run it over the file and upload that."
        ),
    ),
    "killed_reader": Message(
        _("Set aside"),
        _("The file stopped its reader three times and was set aside. Save it in another format."),
    ),
    "no_such_page": Message(_("No such page"), _("The file has no page of this number.")),
    "interrupted": Message(
        _("Interrupted"),
        _("The work on this file was interrupted again and again. Try again, or tell your administrator."),
    ),
    "index_unavailable": Message(
        _("Waiting"), _("The index does not answer. The file stays here; try again in a few minutes.")
    ),
    "engine_unavailable": Message(
        _("Waiting"), _("The model does not answer. The file stays here; try again in a few minutes.")
    ),
    "disk_full": Message(
        _("No room"), _("There is not enough room on the disk. Tell your administrator, then try again.")
    ),
}
WARNINGS: dict[str, str | Promise] = {
    "attachment_not_read": _("This attachment could not be read and is not searched: %(detail)s."),
    "pages_not_read": _("These pages could not be read and are not searched: %(detail)s."),
}
UNKNOWN = Message(
    _("Failed"), _("Something went wrong with this file. Try again; if it stays, tell your administrator.")
)


def warning(code: str) -> str:
    """The sentence for what a reader remarks on a file that it did read: `code`, or `code:detail`."""
    name, _colon, detail = code.partition(":")
    return str(WARNINGS[name]) % {"detail": detail} if name in WARNINGS else ""


def message(code: str) -> Message:
    return MESSAGES.get(code, UNKNOWN)
