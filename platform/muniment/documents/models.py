"""Documents, their versions, pages and passages, uploads on their way in, and what the index is made with."""

from __future__ import annotations

from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from muniment.tenancy.models import LABELS, Library


class VersionState(models.TextChoices):
    RECEIVED = "received", _("waiting")
    READING = "reading", _("reading")
    EMBEDDING = "embedding", _("embedding")
    PUBLISHED = "published", _("published")
    FAILED = "failed", _("failed")
    SUPERSEDED = "superseded", _("replaced")
    DELETED = "deleted", _("deleted")


IN_WORK = (VersionState.RECEIVED, VersionState.READING, VersionState.EMBEDDING)

# From which state a version may go where; a test walks it.
VERSION_MOVES: dict[VersionState, frozenset[VersionState]] = {
    VersionState.RECEIVED: frozenset({VersionState.READING, VersionState.FAILED, VersionState.DELETED}),
    VersionState.READING: frozenset(
        {VersionState.READING, VersionState.EMBEDDING, VersionState.FAILED, VersionState.DELETED}
    ),
    VersionState.EMBEDDING: frozenset(
        {VersionState.READING, VersionState.PUBLISHED, VersionState.FAILED, VersionState.DELETED}
    ),
    VersionState.PUBLISHED: frozenset({VersionState.SUPERSEDED, VersionState.DELETED}),
    VersionState.FAILED: frozenset({VersionState.RECEIVED, VersionState.DELETED}),
    VersionState.SUPERSEDED: frozenset({VersionState.DELETED}),
    VersionState.DELETED: frozenset(),
}


class Document(models.Model):
    """A document under its file name. `current` is the version people see, None until one is published."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    library = models.ForeignKey(Library, models.PROTECT, related_name="documents")
    name = models.CharField(max_length=255)
    title = models.CharField(max_length=255, blank=True)
    label = models.PositiveSmallIntegerField(choices=LABELS)
    added_by = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    current = models.ForeignKey("Version", models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["library", "name"], condition=Q(deleted_at=None), name="document_name_once"
            )
        ]
        indexes = [models.Index(fields=["tenant", "library", "name"], name="document_place")]


class Version(models.Model):
    """One content of a document, by the hash of its bytes.

    `cut` says which of its passages are its own, see `Passage`. `indexed_in` is the newest generation of the
    index that has all its points.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    document = models.ForeignKey(Document, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    media_type = models.CharField(max_length=100, blank=True)
    # Two letters of ISO 639-1; empty where no language is sure, and for what was read before it was told.
    language = models.CharField(max_length=20, blank=True)
    state = models.CharField(max_length=16, choices=VersionState.choices, default=VersionState.RECEIVED)
    error_code = models.CharField(max_length=40, blank=True)
    reader_deaths = models.PositiveSmallIntegerField(default=0)
    page_count = models.PositiveIntegerField(default=0)
    passage_count = models.PositiveIntegerField(default=0)
    cut = models.PositiveIntegerField(default=1)
    indexed_in = models.PositiveIntegerField(default=1)
    warnings = models.JSONField(default=list)
    added_by = models.UUIDField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["document", "number"], name="version_number_once")]
        indexes = [
            models.Index(fields=["tenant", "state"], name="version_state"),
            models.Index(fields=["tenant", "sha256"], name="version_blob"),
        ]

    @property
    def own_passages(self) -> models.QuerySet[Passage]:
        return self.passages.filter(cut=self.cut)


class Page(models.Model):
    """A page, slide or sheet: its range in the document's text, its blocks, and for PDF its words' boxes.

    `blocks` is a list of [kind, start, end, level]. `words` is compressed JSON, see `documents.layout`.
    """

    tenant = models.UUIDField()
    version = models.ForeignKey(Version, models.CASCADE, related_name="pages")
    number = models.PositiveIntegerField()
    label = models.CharField(max_length=60)
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    width = models.FloatField(null=True)
    height = models.FloatField(null=True)
    blocks = models.JSONField(default=list)
    words = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["version", "number"], name="page_number_once")]


class Passage(models.Model):
    """A piece of a version's text. Those of one cut do not overlap; between them is white space only.

    A new generation of the index may cut the text anew: then both cuts are there, each with the number of
    the generation it was made for, until the new one is the version's own. Of the old one those stay that
    answers name.
    """

    id = models.UUIDField(primary_key=True)
    tenant = models.UUIDField()
    version = models.ForeignKey(Version, models.CASCADE, related_name="passages")
    cut = models.PositiveIntegerField(default=1)
    ordinal = models.PositiveIntegerField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    page = models.PositiveIntegerField()
    page_end = models.PositiveIntegerField()
    heading = models.TextField(blank=True)
    text = models.TextField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["version", "cut", "ordinal"], name="passage_ordinal_once")
        ]
        indexes = [models.Index(fields=["version", "page"], name="passage_page")]


class Upload(models.Model):
    """A file on its way in. How much has come is the size of its part on disk.

    The row stays for a day after the last byte, so that who lost the connection then learns how it ended.
    `replaces` is the document that gets a new version whatever the file's name is; `document` what was made.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.UUIDField()
    person = models.UUIDField()
    library = models.ForeignKey(Library, models.CASCADE)
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    replaces = models.ForeignKey(Document, models.CASCADE, null=True, related_name="+")
    document = models.ForeignKey(Document, models.CASCADE, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)


class GenerationState(models.TextChoices):
    BUILDING = "building", _("being built")
    SERVING = "serving", _("in use")
    RETIRED = "retired", _("replaced")
    REMOVED = "removed", _("removed")


class Generation(models.Model):
    """One making of the passage index, for all tenants: with what it was made, and whether it answers.

    One serves, and at most one is built beside it. A retired one is still in the index for whoever is just
    asking it; the row of a removed one stays, because receipts of answers name its number. `splitter` and
    `words` are versions of the ways to cut text and to weigh words; one that `cuts` has passages of its own.
    `documents` and `built` are how many are to be in it and are.
    """

    number = models.PositiveIntegerField(primary_key=True)
    state = models.CharField(max_length=16, choices=GenerationState.choices)
    embedder = models.CharField(max_length=120)
    embedder_sha256 = models.CharField(max_length=64)
    dimension = models.PositiveIntegerField()
    splitter = models.PositiveSmallIntegerField()
    cuts = models.BooleanField(default=False)
    words = models.PositiveSmallIntegerField()
    documents = models.PositiveIntegerField(default=0)
    built = models.PositiveIntegerField(default=0)
    begun_at = models.DateTimeField(auto_now_add=True)
    served_at = models.DateTimeField(null=True)
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"],
                condition=Q(state__in=(GenerationState.BUILDING, GenerationState.SERVING)),
                name="generation_state_once",
            )
        ]
