from django.utils.translation import gettext_lazy as _

from muniment.pages.errors import Conflict, Invalid


class NotAllowed(Invalid):
    code = "folder_not_allowed"
    detail = _("This folder is not below one that the setting MUNIMENT_WATCH_ROOTS names.")


class NoFolder(Invalid):
    code = "no_folder"
    detail = _("There is no such folder. Check its path, and that the share is mounted.")


class MappedAlready(Conflict):
    code = "mapped_already"
    detail = _("This folder, or one above or below it, is mapped to this library already.")
