"""Tenants, teams, libraries, and who may do what in a library."""

from __future__ import annotations

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from muniment.scope import Label

LABELS = [
    (Label.PUBLIC.value, _("public")),
    (Label.INTERNAL.value, _("internal")),
    (Label.CONFIDENTIAL.value, _("confidential")),
    (Label.SECRET.value, _("secret")),
]


# Slug of the tenant in which data sets are measured. Nobody belongs to it, so nobody signs in to it.
EVALUATION = "evaluation"


class Tenant(models.Model):
    """With `quotes_only` every question is answered by sentences of the documents, whoever asks."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=120)
    quotes_only = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)


class Team(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="teams")
    name = models.CharField(max_length=120)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="teams")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="team_name_once")]


class Library(models.Model):
    """A set of documents that people are given access to as a whole. Deleted ones keep their row."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="libraries")
    slug = models.SlugField(max_length=60)
    name = models.CharField(max_length=120)
    label = models.PositiveSmallIntegerField(choices=LABELS, default=Label.INTERNAL)
    created_at = models.DateTimeField(auto_now_add=True)
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "slug"], condition=Q(deleted_at=None), name="library_slug_once"
            )
        ]


class Level(models.IntegerChoices):
    READ = 1, _("may read and ask")
    CONTRIBUTE = 2, _("may read, ask and upload")


class Grant(models.Model):
    """Access of a team, a person, or (with neither) everybody in the tenant to a library."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    library = models.ForeignKey(Library, models.CASCADE, related_name="grants")
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="grants")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="grants"
    )
    level = models.PositiveSmallIntegerField(choices=Level.choices, default=Level.READ)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(team=None) | Q(person=None), name="grant_team_or_person"),
            models.UniqueConstraint(
                fields=["library", "team"], condition=Q(team__isnull=False), name="grant_team_once"
            ),
            models.UniqueConstraint(
                fields=["library", "person"], condition=Q(person__isnull=False), name="grant_person_once"
            ),
            models.UniqueConstraint(
                fields=["library"], condition=Q(team=None, person=None), name="grant_everyone_once"
            ),
        ]
