from django.utils.translation import gettext_lazy as _

from muniment.pages.errors import Conflict, DiskFull, Invalid, TooLarge


class UploadTooLarge(TooLarge):
    code = "upload_too_large"


class OffsetMismatch(Conflict):
    """The part sent does not begin where the last one ended; ask for the offset and go on from there."""

    code = "offset_mismatch"
    detail = _("The upload was interrupted. It goes on from where it was.")


class UploadIncomplete(Conflict):
    code = "upload_incomplete"
    detail = _("The file has not arrived whole. Upload it again.")


class EmptyFile(Invalid):
    code = "empty_file"
    detail = _("The file is empty. Check it and upload it again.")


class BadName(Invalid):
    code = "bad_name"
    detail = _("The file has no usable name. Rename it and upload it again.")


class NameTaken(Invalid):
    """By a document that this person may not see, so nothing more is said of it."""

    code = "name_taken"
    detail = _("The library has a document of this name already. Rename the file and upload it again.")


class OtherFormat(Invalid):
    code = "other_format"
    detail = _("A new version has the same kind of file as the one before. Upload this as a new document.")


class IndexChanged(Conflict):
    """Another index came to answer while a document was on its way into the one before."""

    code = "index_changed"
    detail = _("The index was made anew meanwhile. Try again.")


class NoRoom(DiskFull):
    code = "disk_full"
