"""Which folders may be mapped: those below roots that the site's settings name, never a whole machine."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from django.conf import settings

from muniment.folders.errors import NotAllowed
from muniment.scope import Scope
from muniment.tenancy.queries import organisations, tenant_of


def roots(scope: Scope) -> list[Path]:
    """Those marked as this tenant's; and the unmarked, while it is the only one here."""
    given = settings.WATCH_ROOTS
    if not given:
        return []
    own, alone = tenant_of(scope).slug, organisations().count() == 1
    return [root.folder for root in given if root.tenant == own or (alone and not root.tenant)]


def root_of(scope: Scope, path: str) -> tuple[Path, PurePosixPath]:
    """The root of a folder, and the way from there to it. Raises `NotAllowed`.

    Only by the words of the path: whether a link leads out is for those to see who open it.
    """
    if "\0" in path or ".." in PurePosixPath(path).parts or not path.startswith("/"):
        raise NotAllowed
    folder = Path(os.path.normpath(path))
    for root in roots(scope):
        if folder.is_relative_to(root):
            return root, PurePosixPath(folder.relative_to(root))
    raise NotAllowed
