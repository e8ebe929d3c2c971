from django.utils.translation import gettext_lazy as _

from muniment.pages.errors import Problem, Unavailable


class SignedOut(Problem):
    """There was a session, or none yet; either way nobody is signed in."""

    status = 401
    code = "signed_out"
    detail = _("Your session has ended. Sign in again.")


class OwnPasswordFirst(Problem):
    status = 403
    code = "own_password_first"
    detail = _("Choose a password of your own first.")


class TrailUnavailable(Unavailable):
    """The event could not be written, so its effect was taken back."""

    code = "audit_unavailable"
    detail = _("The audit trail cannot be written, so nothing was done. Try again in a minute.")
