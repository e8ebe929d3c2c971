"""Errors that a person meets. Each has a status and a sentence that says what to do.

`accounts.problems` turns them into a page, or into `problem+json` where the caller asked for JSON.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Problem(Exception):
    """`code` is stable for programs, `detail` is a sentence for people."""

    status = 400
    code = "bad_request"
    detail: str | Promise = _("This request cannot be understood. Go back and try again.")

    def __init__(self, detail: str | Promise | None = None) -> None:
        super().__init__(detail or self.detail)
        self.detail = detail or self.detail


class NotFound(Problem):
    """Not there, or not for this person: nobody can tell the two apart."""

    status = 404
    code = "not_found"
    detail = _("There is nothing here, or it is not open to you.")


class Forbidden(Problem):
    """The page exists for other roles."""

    status = 403
    code = "forbidden"
    detail = _("Your role does not include this. Ask your administrator if it should.")


class Invalid(Problem):
    status = 422
    code = "invalid"
    detail = _("Some of what you entered cannot be used. Correct it and send it again.")


class Conflict(Problem):
    status = 409
    code = "conflict"
    detail = _("This has changed in the meantime. Reload the page and try again.")


class TooLarge(Problem):
    status = 413
    code = "too_large"
    detail = _("This is larger than the limit.")


class TooMany(Problem):
    status = 429
    code = "too_many"
    detail = _("Too many tries. Wait a few minutes and try again.")


class Unavailable(Problem):
    status = 503
    code = "unavailable"
    detail = _("A part of the service does not answer right now. Try again in a minute.")


class DiskFull(Problem):
    status = 507
    code = "disk_full"
    detail = _("There is not enough room on the disk. Nothing was lost; tell your administrator.")
