"""Folders of this machine whose files a library follows, and what is known of each file."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _

from muniment.documents.models import Document
from muniment.scope import Label
from muniment.tenancy.models import LABELS, Library

# An index of PostgreSQL takes no longer ones, whatever the characters are.
LONGEST_PATH = 600


class FolderState(models.TextChoices):
    FOLLOWED = "followed", _("followed")
    PAUSED = "paused", _("paused")
    STOPPED = "stopped", _("stopped")
    ENDED = "ended", _("unmapped")


class Folder(models.Model):
    """A folder mapped to a library. Who reads its documents is the library's and the label's to say.

    Somebody paused a paused one; a stopped one stopped by itself, because too many files were gone at once.
    An ended one keeps its row, so that the same folder mapped again makes no second documents. `trouble` is
    a code of what was wrong in the last look, `looked_at` when one went through. `files` are there, `waiting`
    of them are still to come, `missing` were gone. `confirmed` is how many somebody said may go. `marked`
    says that the folder has had the file that shows it is really there.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    library = models.ForeignKey(Library, models.CASCADE, related_name="folders")
    path = models.CharField(max_length=LONGEST_PATH)
    label = models.PositiveSmallIntegerField(choices=LABELS, default=Label.INTERNAL)
    state = models.CharField(max_length=16, choices=FolderState.choices, default=FolderState.FOLLOWED)
    trouble = models.CharField(max_length=40, blank=True)
    marked = models.BooleanField(default=False)
    files = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    missing = models.PositiveIntegerField(default=0)
    confirmed = models.PositiveIntegerField(default=0)
    made_by = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    tried_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["library", "path"], name="folder_path_once")]
        ordering = ["path", "id"]


class File(models.Model):
    """A file of a folder by its path in it: what was taken of it last, and which document it became.

    `trouble` is a code of why it was not taken, or is no longer followed.
    """

    tenant = models.UUIDField()
    folder = models.ForeignKey(Folder, models.CASCADE, related_name="seen")
    path = models.CharField(max_length=LONGEST_PATH)
    size = models.PositiveBigIntegerField(default=0)
    mtime_ns = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    document = models.ForeignKey(Document, models.SET_NULL, null=True, related_name="+")
    trouble = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folder", "path"], name="file_path_once")]
        ordering = ["path"]
