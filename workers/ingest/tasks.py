"""Celery's side of ingest: each message names a job, the row says the rest."""

from __future__ import annotations

import json
import logging
from uuid import UUID

from celery import shared_task
from django.db import close_old_connections

from muniment.documents.blobs import blob_path, pictures_folder
from muniment.documents.models import Version
from muniment.jobs.replies import reply
from muniment.wall import within
from workers.ingest import pipeline
from workers.ingest.errors import ReadError
from workers.ingest.pictures import page_picture
from workers.leases import work

log = logging.getLogger(__name__)


@shared_task(name="ingest.run")
def run(job: str, tenant: str) -> None:
    work(job, tenant, pipeline.ingest, patient=True)


@shared_task(name="ingest.remove")
def remove(job: str, tenant: str) -> None:
    work(job, tenant, pipeline.remove, patient=True)


@shared_task(name="ingest.move")
def move(job: str, tenant: str) -> None:
    work(job, tenant, pipeline.move, patient=True)


@shared_task(name="ingest.reindex")
def reindex(job: str, tenant: str) -> None:
    work(job, tenant, pipeline.reindex, patient=True)


@shared_task(name="ingest.build")
def build(job: str, tenant: str) -> None:
    work(job, tenant, pipeline.build, patient=True)


@shared_task(name="pictures.render")
def render(key: str, question: str) -> None:
    """A page's picture into the cache. The web process asked, and has checked who may see it."""
    asked = json.loads(question)
    close_old_connections()
    try:
        with within(UUID(asked["tenant"])):
            version = Version.objects.get(pk=asked["version"], tenant=asked["tenant"])
        page, width = int(asked["page"]), int(asked["width"])
        folder = pictures_folder(version.tenant, version.id)
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".{page}-{width}-{key.rpartition(':')[2]}"
        fresh.write_bytes(page_picture(blob_path(version.tenant, version.sha256), page, width))
        fresh.replace(folder / f"{page}-{width}.png")
        reply(key, {"ok": True})
    except (ReadError, Version.DoesNotExist, OSError) as error:
        log.warning("picture.failed error=%s", type(error).__name__)
        reply(key, {"problem": "picture"})
    finally:
        close_old_connections()
