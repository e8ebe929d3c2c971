"""What may go wrong with a backup. Messages are sentences that say what to do."""

from __future__ import annotations


class BackupFailed(Exception):
    """The backup could not be written; nothing of it is left."""


class BackupExists(Exception):
    """There is a file of this name already."""


class BackupDamaged(Exception):
    """The file is no backup, or it was cut or changed since it was made."""


class BackupTooNew(Exception):
    """A newer version of Muniment made the backup."""


class FolderInUse(Exception):
    """Something runs on the data folder, or it holds data already."""


class RestoreFailed(Exception):
    """The backup could not be put in place; what was there before is there still."""


class MoveFailed(Exception):
    """The installation was not moved: the site's database is as it was, and the old folder untouched."""


class NoTestResult(Exception):
    """The file is not what the test that nothing leaves writes."""


class CertificateUnusable(Exception):
    """Browsers would refuse the proxy's certificate, or it cannot be read; the message says what to do."""
