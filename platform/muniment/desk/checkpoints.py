"""The newest checkpoint of a tenant's log, as it is printed and kept where nobody changes it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString, mark_safe

from muniment.audit.bundles import NothingSealed, signer
from muniment.audit.notes import BadNote
from muniment.audit.queries import newest_checkpoint
from muniment.audit.sealing import checked
from muniment.desk.queries import require_officer
from muniment.scope import Scope

# A quarter of it may be stained.
ERROR_CORRECTION = "q"


@dataclass(frozen=True)
class Shown:
    """`size` counts events; `root` is base 64 as in the note; `whole` says that the signature fits."""

    origin: str
    size: int
    root: str
    at: datetime
    fingerprint: str
    note: str
    whole: bool

    @property
    def qr(self) -> SafeString:
        """The note as a drawing, with the quiet zone that readers need."""
        import segno  # nine megabytes of tables, for a page that few open

        code = segno.make(self.note, error=ERROR_CORRECTION, micro=False, mode="byte", encoding="utf-8")
        return mark_safe(code.svg_inline(omitsize=True, border=4, svgclass="qr", lineclass=None))  # noqa: S308 - numbers


def shown_checkpoint(scope: Scope) -> Shown | None:
    """None where nothing is sealed yet."""
    require_officer(scope)
    row = newest_checkpoint(scope)
    if row is None:
        return None
    try:
        said = checked(row.note)
        key = signer(row.note)
    except (BadNote, NothingSealed):
        return Shown("", row.size, "", row.made_at, "", row.note, whole=False)
    root = base64.b64encode(said.root).decode()
    whole = said.size == row.size and said.origin.endswith(f"/{scope.tenant}")
    return Shown(said.origin, said.size, root, row.made_at, key.fingerprint, row.note, whole)
