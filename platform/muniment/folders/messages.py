"""Codes of what went wrong with a folder or a file of it, as words; a reader's codes have theirs already."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from muniment.documents import messages
from muniment.documents.errors import BadName, EmptyFile, NoRoom, UploadTooLarge
from muniment.documents.messages import Message
from muniment.folders.errors import NotAllowed

FILES: dict[str, Message] = {
    EmptyFile.code: Message(_("Empty"), EmptyFile.detail),
    BadName.code: Message(_("No name"), BadName.detail),
    UploadTooLarge.code: Message(
        _("Too large"), _("The file is larger than is taken here. Split it, or have the limit raised.")
    ),
    "link": Message(
        _("A link"), _("Links are not followed. Put the file itself, or its folder, in this place.")
    ),
    "no_access": Message(
        _("Not open"), _("The account that runs Muniment may not read it. Have it given the right to read.")
    ),
    "not_read": Message(
        _("Not readable"),
        _("The share did not give it out. It is tried again at each look."),
    ),
    "long_path": Message(
        _("Long path"), _("The path is longer than 600 characters. Shorten the names of its folders.")
    ),
    "taken_out": Message(
        _("Taken out"),
        _(
            "The document was deleted or moved here, so its file is no longer followed. To have it again, "
            "take the file out of the folder and put it back after a look."
        ),
    ),
}

FOLDERS: dict[str, str | Promise] = {
    "away": _("The folder is not there or cannot be listed. Nothing is changed until it is back."),
    "empty": _(
        "The folder is empty, as one is whose share is not mounted. Nothing is removed until files are there "
        "again, or you confirm that they are gone."
    ),
    "unmarked": _(
        "The file .muniment, which was in this folder, is gone, as it is when a share is not mounted. Put it "
        "back, or pause the folder and go on without it."
    ),
    "vanished": _(
        "More than half of the files were gone at once, so nothing is changed. Have the share put right and "
        "go on, or confirm that the files are gone: then their documents are deleted."
    ),
    "too_many": _("There are more files than are followed in one folder. Map its subfolders instead."),
    NotAllowed.code: NotAllowed.detail,
    NoRoom.code: NoRoom.detail,
}


def of_file(code: str) -> Message:
    """The words that the upload page would have for it."""
    return FILES.get(code) or messages.message(code)


def of_folder(code: str) -> str:
    return str(FOLDERS.get(code, ""))
